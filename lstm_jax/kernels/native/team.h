// A few threads that share one run over time.
#pragma once

#include <sched.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

// Waits until all of its threads have come. It spins, since a step takes microseconds; a thread that
// waits for long sleeps, since then the machine has other work, and the one that it waits for may
// need this very core.
class Barrier {
 public:
  void set(int threads) { threads_ = threads; }

  void wait() {
    if (threads_ == 1) return;
    const int round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1);
      if (sleeping_.load() != 0) wake();
      return;
    }
    for (int spins = 0; spins < kSpins; ++spins) {
      if (round_.load(std::memory_order_acquire) != round) return;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    sleeping_.fetch_add(1);  // before the last look at the round, so that no wake is missed
    while (round_.load() == round) sleep(round);
    sleeping_.fetch_sub(1);
  }

 private:
  static constexpr int kSpins = 1000;

#if defined(__linux__)
  void sleep(int round) { futex(FUTEX_WAIT_PRIVATE, round); }
  void wake() { futex(FUTEX_WAKE_PRIVATE, threads_); }
  void futex(int operation, int value) {
    static_assert(sizeof round_ == sizeof(int), "a futex is an integer");
    syscall(SYS_futex, reinterpret_cast<int*>(&round_), operation, value, nullptr, nullptr, 0);
  }
#else
  void sleep(int) { sched_yield(); }
  void wake() {}
#endif

  int threads_ = 1;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> round_{0};
  alignas(64) std::atomic<int> sleeping_{0};
};

// How a run is cut: `row_cuts` groups of rows, which never wait for each other, and in each group
// `panel_cuts` threads, which wait for each other at every step.
struct Cut {
  int row_cuts = 1;
  int panel_cuts = 1;
};

// The cut with which a step takes the fewest cycles, by a model that knows multiplications, the
// reading of the packed matrix from beyond the second cache, and waiting.
static inline Cut best_cut(int64_t rows, int64_t panels, int64_t depth, int threads, int64_t steps) {
  const auto up = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  constexpr double kFlopsWorthAThread = 1e6, kBarrierCycles = 1500, kCachedBytes = 768 * 1024;
  const double flops = 8.0 * rows * panels * depth * kLanes * steps;
  threads = static_cast<int>(std::min<double>(threads, 1 + flops / kFlopsWorthAThread));
  Cut best;
  double least = 1e300;
  const auto consider = [&](int r, int p) {
    const double my_rows = std::max<double>(up(rows, r), 2), my_panels = up(panels, p);
    const double multiply = my_rows * my_panels * depth * 2.0;
    const double bytes = my_panels * depth * kLanes * 16.0;
    const double read = bytes > kCachedBytes ? bytes / 12 : 0;
    const double cycles = std::max(multiply, read) + 0.3 * std::min(multiply, read) +
                          (p > 1 ? kBarrierCycles : 0);
    if (cycles < least) {
      least = cycles;
      best = {r, p};
    }
  };
  for (int r = 1; r <= std::min<int64_t>(threads, rows); ++r)
    for (int p = 1; p <= std::min<int64_t>(threads / r, panels); ++p) consider(r, p);
  return best;
}

// Moves the calling thread off a processor. A new thread tends to begin where its parent runs, and
// two that wait for each other there take turns for milliseconds before one is moved.
static inline void leave_processor(int processor) {
#if defined(__linux__)
  cpu_set_t allowed;
  if (processor < 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  CPU_CLR(processor, &allowed);
  if (CPU_COUNT(&allowed) > 0) sched_setaffinity(0, sizeof allowed, &allowed);
#endif
}

static inline int current_processor() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// Runs body(thread) for every thread, the caller being the first. These are threads of their own:
// in a pool the others might never begin while the first waits for them.
template <typename Body>
static inline void run_team(int threads, Body&& body) {
  std::vector<std::thread> others;
  const int processor = threads > 1 ? current_processor() : -1;
  for (int i = 1; i < threads; ++i)
    others.emplace_back([&body, i, processor] {
      leave_processor(processor);
      body(i);
    });
  body(0);
  for (auto& other : others) other.join();
}
