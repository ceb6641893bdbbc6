"""A client of a BlockServe router that knows nothing of its protos: messages
and methods come from the server's reflection service."""

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

SERVICE = "blockserve.v1.InferenceService"


class Client:
    """Requests are dicts in JSON form; answers are messages."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(
            address, options=[("grpc.enable_http_proxy", 0)]
        )
        self.reflection = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.reflection)
        self.service = self.pool.FindServiceByName(SERVICE)
        self.health_stub = health_pb2_grpc.HealthStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def _method(self, name):
        method = self.service.FindMethodByName(name)
        request_class = message_factory.GetMessageClass(method.input_type)
        response_class = message_factory.GetMessageClass(method.output_type)
        connect = (
            self.channel.unary_stream
            if method.server_streaming
            else self.channel.unary_unary
        )
        call = connect(
            f"/{SERVICE}/{name}",
            request_serializer=request_class.SerializeToString,
            response_deserializer=response_class.FromString,
        )
        return call, request_class

    def call(self, name, request=None, timeout=60, metadata=None):
        """The answer of a unary method; for a stream, the call itself."""
        method, request_class = self._method(name)
        message = json_format.ParseDict(request or {}, request_class())
        return method(message, timeout=timeout, metadata=metadata)

    def future(self, name, request=None, timeout=60, metadata=None):
        method, request_class = self._method(name)
        message = json_format.ParseDict(request or {}, request_class())
        return method.future(message, timeout=timeout, metadata=metadata)

    def call_raw(self, name, data, timeout=60):
        """Sends bytes as the request of a unary method."""
        return self.channel.unary_unary(f"/{SERVICE}/{name}")(
            data, timeout=timeout
        )

    def stream(self, request, timeout=60):
        """Reads a GenerateStream to its end; returns its messages."""
        return list(self.call("GenerateStream", request, timeout=timeout))

    def health(self, name=""):
        return self.health_stub.Check(
            health_pb2.HealthCheckRequest(service=name), timeout=10
        ).status

    def watch(self, name=""):
        return self.health_stub.Watch(
            health_pb2.HealthCheckRequest(service=name), timeout=60
        )


def token_ids(messages, index=0):
    """The tokens of one choice of a stream."""
    return [
        token
        for message in messages
        if message.index == index
        for token in message.token_ids
    ]


def text(messages):
    return "".join(message.text_delta for message in messages)


def details(error):
    """The google.rpc details of an RpcError, by the name of their type."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            found = {}
            for packed in status.details:
                name = packed.TypeName().rsplit(".", 1)[-1]
                message = getattr(error_details_pb2, name)()
                packed.Unpack(message)
                found[name] = message
            return found
    return {}


def reason(error):
    info = details(error).get("ErrorInfo")
    return info.reason if info is not None else None


def trailer(error, key):
    return dict(error.trailing_metadata() or ()).get(key)
