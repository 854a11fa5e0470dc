// Vectors of floats as wide as the machine has them, and the activations of a cell on them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
constexpr int kLanes = 16;
constexpr int kMaxRows = 6;  // 6 x 4 accumulators of 32 registers
#elif defined(__AVX__)
constexpr int kLanes = 8;
constexpr int kMaxRows = 3;  // 3 x 4 accumulators of 16 registers
#else
constexpr int kLanes = 4;
constexpr int kMaxRows = 6;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));

static inline Vec load(const float* from) {
  Vec v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

static inline void store(float* to, Vec v) { std::memcpy(to, &v, sizeof v); }

// The first `count` lanes; the others are zero, and are not written.
static inline Vec load(const float* from, int count) {
  if (count == kLanes) return load(from);
  Vec v = {};
  std::memcpy(&v, from, count * sizeof(float));
  return v;
}

static inline void store(float* to, Vec v, int count) {
  if (count == kLanes) return store(to, v);
  std::memcpy(to, &v, count * sizeof(float));
}

static inline Vec splat(float x) { return x - Vec{}; }

static inline Vec clamp(Vec x, float low, float high) {
  x = x < low ? splat(low) : x;
  return x > high ? splat(high) : x;
}

// exp(x) = 2^n exp(r) with |r| <= ln(2) / 2, where eight terms of the series leave 5e-9.
static inline Vec exp(Vec x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  x = clamp(x, -87.0f, 88.0f);
  const Vec shifted = x * 1.44269504089f + kRound;
  const Vec n = shifted - kRound;
  const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln(2) in two parts
  Vec p = splat(1.0f / 5040);
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  IntVec bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits - 0x4B400000 + 127) << 23;
  Vec scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

// NaN stays NaN: the comparisons of clamp are false for it.
static inline Vec sigmoid(Vec x) { return 1.0f / (1.0f + exp(-x)); }

// Odd series near zero, where 1 - 2 / (exp(2 x) + 1) would lose its digits.
static inline Vec tanh(Vec x) {
  const Vec far = 1.0f - 2.0f / (exp(x + x) + 1.0f);
  const Vec s = x * x;
  Vec p = splat(21844.0f / 6081075);
  p = p * s - 1382.0f / 155925;
  p = p * s + 62.0f / 2835;
  p = p * s - 17.0f / 315;
  p = p * s + 2.0f / 15;
  p = p * s - 1.0f / 3;
  const Vec near = x + x * s * p;
  return s < 0.09f ? near : far;
}
