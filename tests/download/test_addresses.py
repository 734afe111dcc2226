import pytest

from artray.download.addresses import is_public


@pytest.mark.parametrize(
    "address",
    [
        # Each holds 10.0.0.1, 127.0.0.1, 192.168.0.1 or 169.254.169.254.
        "::ffff:10.0.0.1", "::10.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:a00:1::",
        "2002:a9fe:a9fe::1", "2001:0:101:101:0:0:f5ff:fffe", "2001:0:a00:1:0:0:fefe:fefe", "::ffff:0:10.0.0.1",
        "64:ff9b:1::10.0.0.1", "64:ff9b:1:abcd::101:101",
        # Site-local, link-local, unique local, multicast, documentation, benchmarks, and what nobody has.
        "fec0::1", "feff::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "ff0e::1", "2001:db8::1",
        "3fff::1", "2001:2::1", "2001:10::1", "100::1", "5f00::1", "::", "::1", "4000::1", "8000::1",
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.0.1", "192.0.0.8", "192.0.2.1",
        "192.88.99.1", "192.168.1.1", "198.19.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "255.255.255.255",
    ],
)  # fmt: skip
def test_private_on_every_python(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1", "100.128.0.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1",
        "64:ff9b::101:101", "2002:101:101::", "2001:0:101:101:0:0:fefe:fefe",
    ],
)  # fmt: skip
def test_public(address):
    assert is_public(address)
