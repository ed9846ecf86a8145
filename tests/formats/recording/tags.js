// The k6 script behind the samples of reduced tags: HTTP with an expected 503 and a refused port, and gRPC calls of which some fail.
import grpc from 'k6/net/grpc';
import http from 'k6/http';
import { check } from 'k6';

const client = new grpc.Client();
client.load(['.'], 'greeter.proto');
export const options = { vus: 2, iterations: 12, thresholds: { grpc_req_duration: ['p(95)<500'] } };

export default function () {
  const page = http.get('http://127.0.0.1:8702/flaky');
  check(page, { 'page is 200': (r) => r.status === 200 });
  http.get('http://127.0.0.1:8702/flaky', { tags: { name: '/expected' }, responseCallback: http.expectedStatuses(200, 503) });
  http.get('http://127.0.0.1:9/refused', { tags: { name: '/refused' } });
  client.connect('127.0.0.1:8703', { plaintext: true, timeout: '2s' });
  const answer = client.invoke('hello.Greeter/SayHello', { name: 'a' });
  check(answer, { 'call is OK': (r) => r && r.status === grpc.StatusOK });
  client.close();
}
