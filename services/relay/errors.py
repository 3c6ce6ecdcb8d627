"""What may stop the relay."""


class RelayStopped(Exception):
    """Publishing on would be wrong: somebody has to look. It is tried again all the same, for when they did."""


class NoLogYet(RelayStopped):
    """Nobody has written here; whose the stream is shows only then."""


class LogBehindStream(RelayStopped):
    """The stream tells of positions that the log has not (yet): the log was restored from an older backup."""


class StreamOfAnotherLog(RelayStopped):
    """At the stream's last position the log has another event: the two do not belong together."""


class LogHasHole(RelayStopped):
    """A position is missing in the log."""


class IdsStillKnown(RelayStopped):
    """The stream has lost events whose ids it still refuses as duplicates; that ends with its duplicate window."""


class EventTooLarge(RelayStopped):
    """The next event of the log is larger than a message of this NATS may be."""


class StreamFull(RelayStopped):
    """The stream has reached the size that it was given, and takes no more."""


class StreamOfCopies(RelayStopped):
    """The stream was made from a mirror or by another's hand: it holds events of ours that no relay stored there."""


class StreamStuck(RelayStopped):
    """The stream answers and stores nothing: NATS has no space, or had none once, and is to be started again."""


class Moved(Exception):
    """The stream does not end where it did: somebody else published, or it is another copy of it."""
