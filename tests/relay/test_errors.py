from services.ops.local.stream_guard import STREAM_STUCK
from services.relay.errors import StreamStuck


def test_the_launcher_knows_a_stuck_stream_by_the_name_of_the_relays_error() -> None:
    assert StreamStuck.__name__ == STREAM_STUCK
