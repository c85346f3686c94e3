"""What every room uses: settings, errors, database, storage, mail, ids, time."""
