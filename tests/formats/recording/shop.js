// The k6 script behind tests/samples/k6_*: k6 run -e PORT=8700 ... shop.js
import http from 'k6/http';
import { check, group, sleep } from 'k6';

export const options = {
  scenarios: {
    browse: { executor: 'per-vu-iterations', vus: 3, iterations: Number(__ENV.ITERATIONS || 8), exec: 'browse' },
    steady: { executor: 'constant-arrival-rate', rate: 40, timeUnit: '1s', duration: '1s', preAllocatedVUs: 1, maxVUs: 1, exec: 'steady' },
  },
  thresholds: { http_req_duration: ['p(95)<500', 'p(99)<1'], http_req_failed: ['rate<0.9'] },
  summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)', 'p(99)', 'count'],
};
const base = `http://127.0.0.1:${__ENV.PORT}`;

export function browse() {
  group('orders', () => {
    const found = http.get(`${base}/orders?page=1`);
    check(found, { 'status is 200': (r) => r.status === 200, 'is short': (r) => r.body.length < 10 });
    http.get(`${base}/orders/${__ITER}`, { tags: { name: '/orders/{id}' } });
  });
  http.post(`${base}/cart`, JSON.stringify({ sku: 'a,"b"\nc' }), { tags: { name: 'cart, "quoted"' } });
  http.get(`${base}/broken`);
  http.get('http://127.0.0.1:9/refused', { tags: { name: '/refused' } });
  sleep(0.01);
}

export function steady() {
  http.get(`${base}/flaky`);
  sleep(0.05);
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY || '/dev/null']: JSON.stringify(data, null, 2) };
}
