// Products of a few rows with a packed matrix, accumulated in registers.
//
// A matrix [depth, columns] is packed into panels of kWidth vectors: panel after panel, and in each
// depth after depth, so that the innermost loop reads memory in order.
#pragma once

#include <algorithm>

#include "vector.h"

constexpr int kWidth = 4;  // vectors of a panel
constexpr int kPanel = kWidth * kLanes;

// Accumulators of some rows of one panel, or of its first vectors.
template <int kRows, int kVectors = kWidth>
struct Tile {
  Vec at[kRows][kVectors];
};

// tile[r] += rows[r, :] @ panel. Few rows alone would wait for each other's sums, so the depth is
// then cut into strands that are added up at the end.
template <int kRows, int kVectors>
static inline void multiply_add(Tile<kRows, kVectors>& tile, const float* rows, int64_t stride, int64_t depth,
                                const float* panel) {
  constexpr int kStrands = kRows * kVectors <= 4 ? 4 : (kRows * kVectors <= 8 && kMaxRows > 3 ? 2 : 1);
  Vec sums[kStrands][kRows][kVectors] = {};
  for (int r = 0; r < kRows; ++r)
    for (int w = 0; w < kVectors; ++w) sums[0][r][w] = tile.at[r][w];
  int64_t k = 0;
  for (; k + kStrands <= depth; k += kStrands) {
#pragma GCC unroll 4
    for (int s = 0; s < kStrands; ++s) {
      const float* column = panel + (k + s) * kPanel;
      Vec b[kVectors];
#pragma GCC unroll 4
      for (int w = 0; w < kVectors; ++w) b[w] = load(column + w * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const float a = rows[r * stride + k + s];
#pragma GCC unroll 4
        for (int w = 0; w < kVectors; ++w) sums[s][r][w] += a * b[w];
      }
    }
  }
  for (; k < depth; ++k)
    for (int r = 0; r < kRows; ++r)
      for (int w = 0; w < kVectors; ++w)
        sums[0][r][w] += rows[r * stride + k] * load(panel + k * kPanel + w * kLanes);
  for (int s = 1; s < kStrands; ++s)
    for (int r = 0; r < kRows; ++r)
      for (int w = 0; w < kVectors; ++w) sums[0][r][w] += sums[s][r][w];
  for (int r = 0; r < kRows; ++r)
    for (int w = 0; w < kVectors; ++w) tile.at[r][w] = sums[0][r][w];
}

// Calls body(std::integral_constant<int, rows>, first row) for blocks of nearly equal size.
template <typename Body>
static inline void for_row_blocks(int64_t begin, int64_t end, Body&& body) {
  const int64_t blocks = (end - begin + kMaxRows - 1) / kMaxRows;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t first = begin + (end - begin) * i / blocks;
    const int64_t last = begin + (end - begin) * (i + 1) / blocks;
    switch (last - first) {
      case 1: body(std::integral_constant<int, 1>(), first); break;
      case 2: body(std::integral_constant<int, 2>(), first); break;
      case 3: body(std::integral_constant<int, 3>(), first); break;
      case 4: body(std::integral_constant<int, std::min(4, kMaxRows)>(), first); break;
      case 5: body(std::integral_constant<int, std::min(5, kMaxRows)>(), first); break;
      default: body(std::integral_constant<int, kMaxRows>(), first); break;
    }
  }
}

// Calls body(std::integral_constant<int, vectors>()) for how many vectors hold the units of a panel.
template <typename Body>
static inline void with_vectors(int64_t units, Body&& body) {
  switch (std::min<int64_t>((units + kLanes - 1) / kLanes, kWidth)) {
    case 1: body(std::integral_constant<int, 1>()); break;
    case 2: body(std::integral_constant<int, 2>()); break;
    case 3: body(std::integral_constant<int, 3>()); break;
    default: body(std::integral_constant<int, 4>()); break;
  }
}

// Panels of a gated kernel [depth, 4 * units]: panel p holds the four gates of kLanes units.
static inline void pack_gates(const float* kernel, int64_t depth, int64_t units, int64_t panel,
                              float* packed) {
  const int64_t unit = panel * kLanes;
  const int count = static_cast<int>(std::min<int64_t>(kLanes, units - unit));
  packed += panel * depth * kPanel;
  for (int64_t k = 0; k < depth; ++k)
    for (int g = 0; g < kWidth; ++g)
      store(packed + k * kPanel + g * kLanes, load(kernel + (k * 4 + g) * units + unit, count));
}

// Panels of the transpose of a kernel [units, depth]: panel p holds kPanel units.
static inline void pack_transposed(const float* kernel, int64_t units, int64_t depth, int64_t panel,
                                   float* packed) {
  packed += panel * depth * kPanel;
  const int64_t first = panel * kPanel;
  constexpr int64_t kBlock = 16;  // of depth, so that what is written stays in the cache
  for (int64_t k0 = 0; k0 < depth; k0 += kBlock)
    for (int64_t j = 0; j < kPanel; ++j) {
      const float* row = kernel + (first + j) * depth;
      for (int64_t k = k0; k < std::min(depth, k0 + kBlock); ++k)
        packed[k * kPanel + j] = first + j < units ? row[k] : 0.0f;
    }
}

// The gradient of a kernel [depth, width]: the sum over m of rows[m, :]^T columns[m, :], for one
// panel of its columns. `slab` has room for kSlab rows of a panel, `sums` for depth of them.
constexpr int64_t kSlab = 256;

static inline void add_outer(const float* rows, int64_t count, int64_t depth, const float* slab,
                             float* sums) {
  for_row_blocks(0, depth, [&](auto n, int64_t d) {
    constexpr int kRows = decltype(n)::value;
    Tile<kRows> tile;
    for (int r = 0; r < kRows; ++r)
      for (int w = 0; w < kWidth; ++w) tile.at[r][w] = load(sums + (d + r) * kPanel + w * kLanes);
    for (int64_t m = 0; m < count; ++m) {
      Vec b[kWidth];
#pragma GCC unroll 4
      for (int w = 0; w < kWidth; ++w) b[w] = load(slab + m * kPanel + w * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const float a = rows[m * depth + d + r];
#pragma GCC unroll 4
        for (int w = 0; w < kWidth; ++w) tile.at[r][w] += a * b[w];
      }
    }
    for (int r = 0; r < kRows; ++r)
      for (int w = 0; w < kWidth; ++w) store(sums + (d + r) * kPanel + w * kLanes, tile.at[r][w]);
  });
}

// Copies a panel of columns between a matrix of this width and consecutive memory.
static inline void copy_panel(const float* from, int64_t from_stride, float* to, int64_t to_stride,
                              int64_t rows, int64_t columns) {
  for (int64_t m = 0; m < rows; ++m)
    std::memcpy(to + m * to_stride, from + m * from_stride, columns * sizeof(float));
}
