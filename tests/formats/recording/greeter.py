"""The gRPC server behind the samples with gRPC calls: every third fails (needs grpcio, which the project does not)."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

calls = itertools.count()


def hello(request, context):
    time.sleep(0.003)
    if next(calls) % 3 == 2:
        context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
    return b"\n\x02hi"


def same(data):
    return data


handler = grpc.unary_unary_rpc_method_handler(hello, request_deserializer=same, response_serializer=same)
server = grpc.server(ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("hello.Greeter", {"SayHello": handler}),))
server.add_insecure_port("127.0.0.1:8703")
server.start()
server.wait_for_termination(60)
