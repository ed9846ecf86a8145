/* The same workload for perf and callgrind: shares by counted work, so that it is exact under callgrind too. */
#include <stdlib.h>
static volatile unsigned long sink;
__attribute__((noinline)) void spin_half(long n) { for (long i = 0; i < n * 5; i++) sink += i * i; }
__attribute__((noinline)) void half(long n) { spin_half(n); sink++; }
__attribute__((noinline)) void spin_third(long n) { for (long i = 0; i < n * 3; i++) sink += i * i; }
__attribute__((noinline)) void descend(int depth, long n) {
    if (depth == 0) return;
    for (long i = 0; i < n * 2 / 5; i++) sink += i * i;
    descend(depth - 1, n);
    sink++;
}
int main(int argc, char **argv) {
    long n = argc > 1 ? atol(argv[1]) : 20000000;
    for (int k = 0; k < 4; k++) { half(n); spin_third(n); descend(5, n); }
    return 0;
}
