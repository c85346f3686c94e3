-- What the catalog is searched by, and how ratings are counted. Statements stand three lines apart
-- and are sent one by one. Bodies are in the standard's form, which is bound to its functions when
-- it is made and does not depend on a search path. A change here needs a new migration.

-- Every text a field has in any language.
CREATE FUNCTION catalog_texts(translations jsonb, field text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT coalesce(string_agg(each.value ->> field, ' ' ORDER BY each.key), '')
          FROM jsonb_each(translations) AS each);


-- Lower case without accents; compatible forms (full width, ligatures) become the usual ones.
CREATE FUNCTION catalog_folded(given text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN lower(normalize(
    regexp_replace(
        normalize(replace(translate(given, 'đĐøØłŁ', 'dDoOlL'), 'ß', 'ss'), NFKD),
        '[\u0300-\u036f]', '', 'g'),
    NFKC));


-- The words of a text. Chinese, Japanese and Korean are not written in words: there every letter
-- counts together with the one that follows it.
CREATE FUNCTION catalog_words(given text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT coalesce(array_agg(DISTINCT left(word, 60)) FILTER (WHERE word <> ''), '{}')
      FROM (
            SELECT regexp_split_to_table(
                       regexp_replace(folded, '[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3]', ' ', 'g'),
                       '[\s!-/:-@[-`{-~\u00a1-\u00bf\u00d7\u00f7\u2000-\u206f\u3000-\u303f]+')
              FROM catalog_folded(given) AS folded
            UNION ALL
            SELECT letter
                   || CASE WHEN next ~ '[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3]' THEN next
                           ELSE '' END
              FROM (SELECT letter, lead(letter, 1, '') OVER (ORDER BY place) AS next
                      FROM string_to_table(catalog_folded(given), NULL)
                           WITH ORDINALITY AS each(letter, place)) AS letters
             WHERE letter ~ '[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3]'
           ) AS words(word));


CREATE FUNCTION catalog_vector(given text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN array_to_tsvector(catalog_words(given));


-- All of the given words, each the beginning of one that is there; null where no word is given.
CREATE FUNCTION catalog_query(given text) RETURNS tsquery
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT string_agg('''' || word || ''':*', ' & ')::tsquery
          FROM unnest(catalog_words(given)) AS word);


ALTER TABLE tool_types
    ADD COLUMN translations jsonb NOT NULL DEFAULT '{}',
    ADD CONSTRAINT ck_tool_types_translations CHECK (jsonb_typeof(translations) = 'object');


ALTER TABLE tools
    ADD COLUMN translations jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN rating_counts integer[] NOT NULL DEFAULT '{0,0,0,0,0}',
    ADD CONSTRAINT ck_tools_translations CHECK (jsonb_typeof(translations) = 'object'),
    ADD CONSTRAINT ck_tools_rating_counts
        CHECK (array_length(rating_counts, 1) = 5 AND 0 <= ALL (rating_counts));


-- The score is a mean in millionths of a star, as if ten more people had given 3.5 stars each: a
-- single vote moves a tool little, a hundred move it far.
ALTER TABLE tools
    ADD COLUMN title_words tsvector GENERATED ALWAYS AS (
        catalog_vector(title || ' ' || catalog_texts(translations, 'title'))) STORED,
    ADD COLUMN all_words tsvector GENERATED ALWAYS AS (
        catalog_vector(title || ' ' || catalog_texts(translations, 'title') || ' ' ||
                       description || ' ' || catalog_texts(translations, 'description'))) STORED,
    ADD COLUMN folded_title text GENERATED ALWAYS AS (
        catalog_folded(title || ' ' || catalog_texts(translations, 'title'))) STORED,
    ADD COLUMN rating_count integer GENERATED ALWAYS AS (
        rating_counts[1] + rating_counts[2] + rating_counts[3] + rating_counts[4]
        + rating_counts[5]) STORED,
    ADD COLUMN rating_sum bigint GENERATED ALWAYS AS (
        rating_counts[1] + 2 * rating_counts[2] + 3 * rating_counts[3] + 4 * rating_counts[4]
        + 5 * rating_counts[5]) STORED,
    ADD COLUMN rating_score bigint GENERATED ALWAYS AS (
        (35 + rating_counts[1] + 2 * rating_counts[2] + 3 * rating_counts[3]
         + 4 * rating_counts[4] + 5 * rating_counts[5]) * 1000000::bigint
        / (10 + rating_counts[1] + rating_counts[2] + rating_counts[3] + rating_counts[4]
           + rating_counts[5])) STORED;


CREATE FUNCTION catalog_count_rating() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        UPDATE tools SET rating_counts[OLD.stars] = rating_counts[OLD.stars] - 1
         WHERE id = OLD.tool_id;
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        UPDATE tools SET rating_counts[NEW.stars] = rating_counts[NEW.stars] + 1
         WHERE id = NEW.tool_id;
    END IF;
    RETURN NULL;
END
$$;


CREATE TRIGGER tool_ratings_counted AFTER INSERT OR UPDATE OR DELETE ON tool_ratings
FOR EACH ROW EXECUTE FUNCTION catalog_count_rating()
