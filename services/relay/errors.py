"""Errors that stop the relay."""


class RelayStopped(Exception):
    """The relay must not go on until an operator has acted; it retries, so no restart is needed afterwards."""


class NoLogYet(RelayStopped):
    """No writer has started a log here yet; without its id the relay cannot know whether the stream belongs to it."""


class LogBehindStream(RelayStopped):
    """The stream has positions beyond the end of the log: the log was restored from an older backup."""


class StreamOfAnotherLog(RelayStopped):
    """At the stream's last position the log has another event: the two do not belong together."""


class LogGap(RelayStopped):
    """A position is missing in the log."""


class IdsInDuplicateWindow(RelayStopped):
    """The stream has lost events and still refuses their ids as duplicates, until its duplicate window ends."""


class EventTooLarge(RelayStopped):
    """The next event of the log is too large for a message of this NATS."""


class StreamFull(RelayStopped):
    """The stream has reached its configured size and accepts no more messages."""


class StreamOfCopies(RelayStopped):
    """The stream has events of the log that no relay stored there: it was a mirror, or somebody copied them."""


class StreamStuck(RelayStopped):
    """The stream answers and stores nothing: NATS has no space, or had none once and needs a restart."""


class UnexpectedLastSequence(Exception):
    """The stream does not end where it did: another client published, or it is another copy of the stream."""
