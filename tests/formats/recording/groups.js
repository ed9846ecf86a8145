// The k6 script behind tests/samples/k6_text/full.txt: two scenarios, and a group within a group.
import http from 'k6/http';
import { check, group } from 'k6';

export const options = {
  scenarios: {
    browse: { executor: 'per-vu-iterations', vus: 2, iterations: 4, exec: 'browse' },
    buy: { executor: 'per-vu-iterations', vus: 1, iterations: 5, exec: 'buy' },
  },
  thresholds: { 'http_req_duration{name:item}': ['avg<200'] },
};
const base = 'http://127.0.0.1:8700';

export function browse() {
  group('catalogue', () => {
    check(http.get(`${base}/orders/1`, { tags: { name: 'item' } }), { 'is 200': (r) => r.status === 200 });
    group('deep', () => http.get(`${base}/broken`));
  });
}

export function buy() {
  http.post(`${base}/cart`, 'x');
}
