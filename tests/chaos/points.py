"""Where a worker is killed: every step between two things that must not come apart."""

from __future__ import annotations

from typing import Final

from tests.chaos.nursery import Point

# Between a vendor's taking a create and our committing its handle, nobody is left who knows of the
# job: one more create is the price. Everywhere else it is none.
IN_THE_GAP: Final = (
    Point("create answered, answer not read", "funmagic.providers.adapters.fal:_create", "after"),
    Point("create answered, handle not noted", "funmagic.providers.calls:submitted"),
    Point("handle noted, not committed", "funmagic.providers.calls:submitted", "after"),
)
CLAIM = "funmagic.tasks.claims:claim"
CALLER = "funmagic.tasks.calling:Caller"
ENGINE = "funmagic.tasks.engine:Engine"
FAL = "funmagic.providers.adapters.fal:Fal"
STORE = "funmagic.tasks.storing:store"
ELSEWHERE: Final = (
    Point("claimed, not committed", CLAIM, "after"),
    Point("claimed", f"{ENGINE}._work_under"),
    Point("step started, not committed", "funmagic.tasks.engine:start_step", "after"),
    Point("step started", f"{CALLER}.ask"),
    Point("photo fetched", "funmagic.tasks.steps:TaskStepContext._fetch", "after"),
    Point("photo at the vendor", f"{CALLER}._intend"),
    Point("intent noted, not committed", "funmagic.providers.calls:intend", "after"),
    Point("intent committed, create not sent", "funmagic.providers.adapters.fal:_create"),
    Point("handle committed", f"{CALLER}._wait"),
    Point("first question", f"{CALLER}._poll"),
    Point("between two questions", f"{CALLER}._pause", "before", 2),
    Point("progress told", "funmagic.tasks.progress:ProgressReporter.report", "after"),
    Point("job done, result not asked for", f"{FAL}._result"),
    Point("result told, file not fetched", f"{FAL}._fetch"),
    Point("result fetched", f"{CALLER}.ask", "after"),
    Point("result checked", STORE),
    Point("result stored", STORE, "after"),
    Point("settlement begun", "funmagic.tasks.settlement:complete"),
    Point("asset noted", "funmagic.assets.service:add_output", "after"),
    Point("end told, not charged", "funmagic.credits.service:capture"),
    Point("charged, not committed", "funmagic.tasks.settlement:complete", "after"),
    Point("settled, nobody told", f"{ENGINE}._work_under", "after"),
    Point("told, run not counted", "funmagic.tasks.settlement:count_run"),
    Point("run counted, job not acknowledged", f"{ENGINE}.run", "after"),
)
# What brings a task to a worker, or brings it back, can die as well.
ON_THE_WAY: Final = (
    Point("job not sent", "funmagic.jobs.queue:Queue.add"),
    Point("job sent, not marked", "funmagic.jobs.queue:Queue.add", "after"),
    Point("sent and marked, not committed", "funmagic.worker:note_sent", "after"),
)

# Of the tool of two steps. The first's vendor answers directly: from the create until the end is
# settled, a dead worker takes the answer with it, and one more create is the price.
OPENAI = "funmagic.providers.adapters.openai"
THUMBNAIL = "funmagic.tasks.storing:_store_thumbnail"
DRAW_ONCE: Final = (
    Point("claimed", f"{ENGINE}._work_under"),
    Point("photo fetched", "funmagic.tasks.steps:TaskStepContext._fetch", "after"),
    Point("intent noted, not committed", "funmagic.providers.calls:intend", "after"),
    Point("intent committed, create not sent", f"{OPENAI}:_draw"),
    Point("settled, nobody told", f"{ENGINE}._work_under", "after"),
)
DRAW_TWICE: Final = (
    Point("unfinished picture noted, not stored", "funmagic.tasks.previews:Previews._write_down",
          "after"),
    Point("picture drawn, answer not read", f"{OPENAI}:_draw", "after"),
    Point("result stored, thumbnail not", THUMBNAIL),
    Point("charged, not committed", "funmagic.tasks.settlement:complete", "after"),
)  # fmt: skip
# The second's vendor has a handle, and its step never asks twice where a job may be at work.
TRIPO = "funmagic.providers.adapters.tripo"
SHAPE_ONCE: Final = (
    Point("parent's picture fetched", "funmagic.tasks.steps:TaskStepContext._fetch", "after"),
    Point("picture at the vendor", f"{CALLER}._intend"),
    Point("handle committed", f"{CALLER}._wait"),
    Point("between two questions", f"{CALLER}._pause", "before", 2),
    Point("job done, files not fetched", f"{TRIPO}:Tripo._result"),
    Point("model fetched, picture not", f"{TRIPO}:Tripo._picture"),
    Point("result stored, thumbnail not", THUMBNAIL),
    Point("charged, not committed", "funmagic.tasks.settlement:complete", "after"),
    Point("settled, nobody told", f"{ENGINE}._work_under", "after"),
)
# Free of charge for the person, and never a second model: whether there is one, nobody can know.
SHAPE_NEVER: Final = (
    Point("intent committed, create not sent", f"{TRIPO}.wire:Line.ask", "before", 2),
    Point("create answered, answer not read", f"{TRIPO}.wire:Line.ask", "after", 2),
    Point("create answered, handle not noted", "funmagic.providers.calls:submitted"),
    Point("handle noted, not committed", "funmagic.providers.calls:submitted", "after"),
)
# A worker that hears that the person wants an end, and meets its own.
CANCELLING: Final = (
    Point("wish heard, vendor not told", f"{CALLER}._tell_to_stop"),
    Point("vendor told", f"{CALLER}._tell_to_stop", "after"),
    Point("ended, not committed", "funmagic.tasks.settlement:fail", "after"),
)
