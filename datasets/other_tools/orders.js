// k6 run -e HOST=http://127.0.0.1:8124 --out csv=lazy-1.csv orders.js
import http from 'k6/http';
import { check, sleep } from 'k6';

export const options = { vus: 4, duration: '5s' };

export default function () {
  const found = http.get(`${__ENV.HOST}/orders?size=20&page=${1 + (__ITER % 5)}`, { tags: { name: '/orders' } });
  check(found, { 'status is 200': (r) => r.status === 200 });
  sleep(0.02);
}
