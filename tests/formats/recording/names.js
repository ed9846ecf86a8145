// Names as people write them: k6 puts quotes around them in its CSV, and the line ends inside.
import http from "k6/http";
import { check, group } from "k6";
import { Counter } from "k6/metrics";

const hits = new Counter("home_hits");
export const options = { scenarios: { all: { executor: "per-vu-iterations", vus: 1, iterations: 4 } } };

export default function () {
  hits.add(1);
  group('the "shop", ünï', () => {
    const found = http.get(`http://127.0.0.1:${__ENV.PORT}/orders`, { tags: { name: 'orders "of"\nall, 17' } });
    check(found, { 'is 200, "really"\nyes': (r) => r.status === 200 });
  });
}
