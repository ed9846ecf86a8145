// The same workload for V8's profiler.
"use strict";
function cpu() { const u = process.cpuUsage(); return (u.user + u.system) / 1e6; }
function spin_half(seconds) {
  let total = 0; const end = cpu() + seconds;
  while (cpu() < end) for (let i = 0; i < 200000; i++) total += i * i % 7;
  return total;
}
function half(seconds) { return spin_half(seconds * 0.5); }
function spin_third(seconds) {
  let total = 0; const end = cpu() + seconds * 0.3;
  while (cpu() < end) for (let i = 0; i < 200000; i++) total += (i ^ 3) % 7;
  return total;
}
function descend(depth, seconds) {
  if (depth === 0) return 0;
  let total = 0; const end = cpu() + seconds;
  while (cpu() < end) for (let i = 0; i < 200000; i++) total += i % 7;
  return total + descend(depth - 1, seconds);
}
function main(seconds) {
  for (let n = 0; n < 4; n++) {
    half(seconds / 4);
    spin_third(seconds / 4);
    descend(5, seconds / 4 * 0.2 / 5);
  }
}
main(Number(process.argv[2] || 2));
