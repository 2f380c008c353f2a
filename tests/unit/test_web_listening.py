"""Ports that are shared, and how one who leaves knows and behaves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from cube.errors import InvalidSettings
from cube.process.listening import (
    admit,
    hold_new,
    is_shared,
    open_datagrams,
    open_listening,
    turn_away,
    warn_of_others,
)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_it_knows_whether_others_listen_there(host: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with open_listening(host, 0, reuse_port=True) as first:
        port = first.getsockname()[1]
        assert not is_shared(first)
        with open_listening(host, port, reuse_port=True):
            assert is_shared(first)
        assert not is_shared(first)


@pytest.mark.parametrize("first_shares", [True, False])
def test_an_address_is_shared_only_if_all_agree(first_shares: bool) -> None:
    refused = pytest.raises(InvalidSettings, match="Address already in use")
    with open_listening("127.0.0.1", 0, reuse_port=first_shares) as first, refused:
        open_listening("127.0.0.1", first.getsockname()[1], reuse_port=not first_shares)


def test_a_host_that_is_none_is_refused_with_a_sentence() -> None:
    with pytest.raises(InvalidSettings, match=r"Cannot listen on no\.such\.host\.invalid:1: "):
        open_listening("no.such.host.invalid", 1, reuse_port=True)


def test_others_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with open_datagrams("127.0.0.1", 0, reuse_port=True) as first:
        warn_of_others("127.0.0.1", 0, first.getsockname()[1])
        assert "others listen on 127.0.0.1:" in caplog.text
        caplog.clear()
        port = first.getsockname()[1]
    warn_of_others("127.0.0.1", 0, port)
    assert caplog.text == ""


HOPS = {"127.0.0.1": (socket.IPPROTO_IP, socket.IP_TTL)}
if has_ipv6():
    HOPS["::1"] = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
"""How the clients on a host set how many hops their packets have left."""


@pytest.mark.parametrize("host", HOPS)
def test_held_back_connections_go_to_the_other_listener(host: str) -> None:
    """Every one of 64, each of which the kernel could have given to either."""
    with open_listening(host, 0, reuse_port=True) as leaving:
        place = leaving.getsockname()
        with open_listening(host, place[1], reuse_port=True) as staying:
            assert hold_new(leaving)
            clients = [socket.socket(leaving.family) for _ in range(64)]
            try:
                for client in clients:
                    client.setblocking(False)
                    assert client.connect_ex(place) != 0  # under way
                with pytest.raises(BlockingIOError):
                    leaving.accept()
                leaving.close()
                staying.settimeout(10)
                for _ in clients:
                    staying.accept()[0].close()
            finally:
                for client in clients:
                    client.close()


@pytest.mark.parametrize("host", HOPS)
def test_a_connection_that_was_made_all_the_same_is_heard_once_it_is_admitted(host: str) -> None:
    """Here it gets through as its client sends with the most hops there are; then it does as others do."""
    with open_listening(host, 0, reuse_port=True) as leaving:
        assert hold_new(leaving)
        with socket.socket(leaving.family) as client:
            client.settimeout(10)
            client.setsockopt(*HOPS[host], 255)
            client.connect(leaving.getsockname())
            with leaving.accept()[0] as accepted:
                client.setsockopt(*HOPS[host], 64)
                client.sendall(b"heard")
                accepted.setblocking(False)
                with pytest.raises(BlockingIOError):
                    accepted.recv(100)
                admit(accepted)
                accepted.settimeout(10)
                assert accepted.recv(100) == b"heard"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can hold back")
def test_holding_back_needs_no_privilege() -> None:
    program = (
        "from cube.process.listening import hold_new, open_listening\n"
        "with open_listening('127.0.0.1', 0, reuse_port=True) as leaving:\n"
        "    print(hold_new(leaving))\n"
    )
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    ran = subprocess.run([*drop, sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("True\n", "")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_datagrams_that_have_arrived_can_be_read_and_new_ones_go_to_the_other_socket(host: str) -> None:
    with open_datagrams(host, 0, reuse_port=True) as leaving:
        port = leaving.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"before", ("127.0.0.1", port))
        with open_datagrams(host, port, reuse_port=True) as staying:
            turn_away(leaving)
            for _ in range(64):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.sendto(b"after", ("127.0.0.1", port))
            assert leaving.recv(100) == b"before"
            with pytest.raises(BlockingIOError):
                leaving.recv(100)
            assert [staying.recv(100) for _ in range(64)] == [b"after"] * 64
