import json


def keep(n):
    return [bytes(1000 + i) for i in range(n)]


def parse():
    return [json.loads('{"a": [1,2,3,"%s"]}' % ("x" * 5000)) for _ in range(300)]


kept = keep(2000)
parsed = parse()
