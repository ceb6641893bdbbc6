"""A peer that speaks the join protocol of a group, or no protocol at all."""

import hashlib
import hmac
import os
import queue
import socket

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

JOIN = "/blockserve.group.v1.GroupService/Join"
TIMEOUT = 5  # seconds
_MEGABYTE = 1 << 20
# What strays onto a port: other protocols, broken starts of the right one, and
# nothing that anybody speaks.
RUBBISH = [
    b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n",
    bytes.fromhex("16030100c8010000c40303") + b"\x5a" * 200,  # TLS
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 5000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 5000,
    b"\xff" * _MEGABYTE,
    b"\0" * _MEGABYTE,
    b"",
]


def _messages():
    """The messages of the group's proto, by name."""
    files = descriptor_pb2.FileDescriptorSet()
    with open(os.environ["BLOCKSERVE_GROUP_PROTO"], "rb") as file:
        files.ParseFromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"blockserve.group.v1.{name}")
        )
        for name in ("MemberFrame", "LeaderFrame")
    }


def _number(value):
    return (value % 2**64).to_bytes(8, "little")


def _field(data):
    return _number(len(data)) + data


def _proof(secret, member_nonce, leader_nonce, claim):
    """As parallel/control/join_proof.h has it."""
    return hmac.new(
        secret,
        b"".join([
            _field(b"blockserve group member"),
            _field(member_nonce),
            _field(leader_nonce),
            _number(claim.protocol_version),
            _number(claim.rank),
            _number(claim.world_size),
            _field(claim.model_fingerprint.encode()),
            _field(claim.build_version.encode()),
            _field(claim.host_id.encode()),
            _number(claim.incarnation),
            _number(claim.last_epoch),
        ]),
        hashlib.sha256,
    ).digest()


class Joiner:
    """Joins the group whose control port is `address` by hand, as rank 1 of 2
    and with a model that is not the group's."""

    def __init__(self, address):
        self._address = address
        self._messages = _messages()

    def join(self, secret, altered=None, nonce=None, claim=None):
        """One attempt. `altered`: fields of the claim that change after it was
        proven. `nonce` and `claim`: of an earlier attempt, to replay it.
        Returns nonce, claim and the error that the leader ended the call with.
        """
        nonce = nonce or os.urandom(32)
        frames = queue.SimpleQueue()
        channel = grpc.insecure_channel(
            self._address, options=[("grpc.enable_http_proxy", 0)]
        )
        frame_class = self._messages["MemberFrame"]
        answers = channel.stream_stream(
            JOIN,
            request_serializer=frame_class.SerializeToString,
            response_deserializer=self._messages["LeaderFrame"].FromString,
        )(iter(frames.get, None), timeout=TIMEOUT)
        try:
            frames.put(frame_class(hello={"nonce": nonce}))
            challenge = next(answers).challenge
            if claim is None:
                claim = frame_class(claim={
                    "protocol_version": 1, "rank": 1, "world_size": 2,
                    "model_fingerprint": "another", "host_id": "stranger",
                    "incarnation": 7,
                }).claim
                claim.proof = _proof(secret, nonce, challenge.nonce, claim)
                for name, value in (altered or {}).items():
                    setattr(claim, name, value)
            frames.put(frame_class(claim=claim))
            answer = next(answers)
            raise AssertionError(f"a stranger was let in: {answer}")
        except grpc.RpcError as error:
            return nonce, claim, error
        finally:
            frames.put(None)
            channel.close()


def connect(host, address, port):
    """A TCP connection from `host`."""
    with host.network():
        return socket.create_connection((address, port), timeout=TIMEOUT)


def pour(connection, data):
    """Sends `data`, reads what is answered and hangs up. Who hangs up first is
    all the same."""
    with connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(0.2)
            while connection.recv(4096):
                pass
        except OSError:
            pass
