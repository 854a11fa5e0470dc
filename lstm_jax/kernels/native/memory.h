// The memory of a call: what XLA hands over, and what a kernel needs beside it.
#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

using Floats = ffi::Buffer<ffi::F32>;
using Flags = ffi::Buffer<ffi::PRED>;
using FloatsOut = ffi::Result<Floats>;

static inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Aligned memory, zero where it was asked for.
struct Scratch {
  explicit Scratch(int64_t count, bool zero = false)
      : memory(static_cast<float*>(std::aligned_alloc(64, round_up(count * 4 + 4, 64)))) {
    if (zero) std::memset(memory.get(), 0, count * 4);
  }
  float* get() const { return memory.get(); }
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::unique_ptr<float, Free> memory;
};

// Asks for large pages: else the first writing of fresh memory, page by page, takes longer than
// the arithmetic. A hint, so nothing is lost where it is refused.
static inline void expect_writing(float* begin, int64_t count) {
#if defined(__linux__)
  constexpr uintptr_t kLarge = 1 << 21;
  const uintptr_t first = round_up(reinterpret_cast<uintptr_t>(begin), kLarge);
  const uintptr_t last = reinterpret_cast<uintptr_t>(begin + count) / kLarge * kLarge;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

// Null where nothing is said.
static inline const bool* flags(const Flags& given) {
  return given.element_count() ? given.typed_data() : nullptr;
}
