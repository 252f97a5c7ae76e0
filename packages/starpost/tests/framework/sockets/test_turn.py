"""Turn of the loop: what leaves at its end, and when nothing is gathered."""

import asyncio

import pytest

from starpost.sockets.turn import CALM, MOST, Turn


class Client:
    """A client that notes when it is released."""

    def __init__(self) -> None:
        self.released = 0

    def release(self) -> None:
        self.released += 1


def released(clients: list[Client]) -> list[int]:
    return [client.released for client in clients]


@pytest.fixture
async def turn() -> Turn:
    return Turn(asyncio.get_running_loop())


async def test_clients_are_released_at_the_end_of_the_turn_and_once(turn: Turn) -> None:
    clients = [Client(), Client(), Client()]
    for client in clients:
        turn.add(client)
    assert released(clients) == [0, 0, 0]
    await asyncio.sleep(0)
    assert released(clients) == [1, 1, 1]
    await asyncio.sleep(0)
    assert released(clients) == [1, 1, 1]


async def test_many_clients_do_not_wait_for_all_others(turn: Turn) -> None:
    clients = [Client() for _ in range(MOST + 2)]
    for client in clients:
        turn.add(client)
    assert released(clients) == [1] * MOST + [0] * 2
    await asyncio.sleep(0)
    assert released(clients) == [1] * (MOST + 2)


async def test_after_a_turn_of_one_client_the_next_frames_are_answered_at_once(turn: Turn) -> None:
    assert turn.is_shared()
    turn.add(Client())
    await asyncio.sleep(0)
    assert [turn.is_shared() for _ in range(CALM + 1)] == [False] * CALM + [True]


@pytest.mark.parametrize("number", [2, MOST, MOST + 1])
async def test_after_a_turn_of_several_clients_they_are_gathered_again(turn: Turn, number: int) -> None:
    for _ in range(number):
        turn.add(Client())
    await asyncio.sleep(0)
    assert turn.is_shared()


async def test_a_client_that_is_released_may_be_added_in_the_same_turn(turn: Turn) -> None:
    clients = [Client() for _ in range(MOST)]
    for client in [*clients, clients[0]]:
        turn.add(client)
    await asyncio.sleep(0)
    assert released(clients) == [2] + [1] * (MOST - 1)
