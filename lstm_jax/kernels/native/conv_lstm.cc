// The convolutional LSTM over time, forwards and backwards, as two calls that XLA makes.
//
//     i, f, o = sigmoid(W * x + U * h + b)      g = tanh(W * x + U * h + b)
//     c' = f c + i g                            h' = o tanh(c')
//
// A row is one place of one example. Frames stand in memory with a border of zeros around them, so
// that what a row of the window sees at a place lies in one piece: the convolution is the LSTM's
// product (`product.h`) over these pieces, and nothing is laid out for it. Every tile of a few rows
// and kLanes units is multiplied, activated and remembered in registers. Threads share the rows and
// meet after every step; of the kernels' gradients each sums its own part, in the order of the rows.
//
// Shapes: x [time, rows, input], gates [time, rows, 4 * units] in the order i f g o, states
// [rows, units], hiddens [time, bordered, units], mask and resets [time, batch] or empty.
#include <vector>

#include "memory.h"
#include "product.h"
#include "team.h"

namespace {

using Sizes = ffi::Span<const int64_t>;

// Where places lie in frames with a border. Whatever stands in them, the window of a place begins
// at `corner`; the place itself is `before` behind that, or, where the window is turned, `after`.
struct Space {
  int64_t places = 1, bordered = 1, columns, width;
  int64_t before = 0, after = 0;
  std::vector<int64_t> corner;  // of every row
  std::vector<int64_t> border;  // of one frame
  std::vector<int64_t> taps;    // of the window's rows, behind its corner

  Space(int64_t batch, const int64_t* size, const int64_t* window)
      : columns(size[2]), width(window[2]) {
    int64_t full[3];
    for (int d = 0; d < 3; ++d) {
      full[d] = size[d] + window[d] - 1;
      places *= size[d];
      bordered *= full[d];
      before = before * full[d] + (window[d] - 1) / 2;
      after = after * full[d] + window[d] / 2;
    }
    const auto at = [&](int64_t i, int64_t j, int64_t k) { return (i * full[1] + j) * full[2] + k; };
    for (int64_t i = 0; i < window[0]; ++i)
      for (int64_t j = 0; j < window[1]; ++j) taps.push_back(at(i, j, 0));
    std::vector<bool> inside(bordered);
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t i = 0; i < size[0]; ++i)
        for (int64_t j = 0; j < size[1]; ++j)
          for (int64_t k = 0; k < size[2]; ++k) {
            corner.push_back(b * bordered + at(i, j, k));
            inside[at(i, j, k) + before] = true;
          }
    for (int64_t p = 0; p < bordered; ++p)
      if (!inside[p]) border.push_back(p);
  }

  int64_t all_taps() const { return static_cast<int64_t>(taps.size()) * width; }
};

// tile[r] += what the window at corners[r] sees @ panel.
template <int kRows, int kVectors>
inline void multiply_windows(Tile<kRows, kVectors>& tile, const Space& space, const float* frames,
                             int64_t channels, const int64_t* corners, const float* panel) {
  const int64_t depth = space.width * channels;
  Tile<kRows, kVectors> sums = tile;
  for (const int64_t tap : space.taps) {
    const float* rows[kRows];
    for (int r = 0; r < kRows; ++r) rows[r] = frames + (corners[r] + tap) * channels;
    for (int64_t k = 0; k < depth; ++k, panel += kPanel) {
      Vec b[kVectors];
#pragma GCC unroll 4
      for (int w = 0; w < kVectors; ++w) b[w] = load(panel + w * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const float a = rows[r][k];
#pragma GCC unroll 4
        for (int w = 0; w < kVectors; ++w) sums.at[r][w] += a * b[w];
      }
    }
  }
  tile = sums;
}

// What both directions know of a run.
struct Run {
  Space space;
  int64_t time, batch, rows, input, units;
  bool reverse;
  const bool* mask;    // null: every step is valid
  const bool* resets;  // null: never
  int threads;

  Run(int64_t time, int64_t batch, int64_t input, int64_t units, bool reverse, const Flags& mask,
      const Flags& resets, Sizes size, Sizes window, int threads)
      : space(batch, size.begin(), window.begin()), time(time), batch(batch),
        rows(batch * space.places), input(input), units(units), reverse(reverse),
        mask(flags(mask)), resets(flags(resets)) {
    constexpr double kFlopsWorthAThread = 1e6;
    const double flops = 8.0 * rows * units * space.all_taps() * (units + input) * time;
    this->threads = static_cast<int>(std::min<double>(threads, 1 + flops / kFlopsWorthAThread));
  }

  int64_t at(int64_t step) const { return reverse ? time - 1 - step : step; }
  bool flag(const bool* flags, int64_t t, int64_t row) const {
    return flags[t * batch + row / space.places];
  }
  bool masked(int64_t t, int64_t row) const { return mask && !flag(mask, t, row); }
  bool reset(int64_t t, int64_t row) const { return resets && flag(resets, t, row); }
  int64_t first_row(int thread) const { return rows * thread / threads; }
  int64_t bordered(int64_t channels) const { return batch * space.bordered * channels; }
  int lanes(int64_t unit) const { return static_cast<int>(std::min<int64_t>(kLanes, units - unit)); }

  // The inputs of a step, with a border that is there already.
  void copy_frames(int thread, const float* x, int64_t step, float* frames) const {
    const float* from = x + at(step) * rows * input;
    const int64_t lines = rows / std::max<int64_t>(1, space.columns);
    for (int64_t line = lines * thread / threads; line < lines * (thread + 1) / threads; ++line) {
      const int64_t row = line * space.columns;
      std::memcpy(frames + (space.corner[row] + space.before) * input, from + row * input,
                  space.columns * input * sizeof(float));
    }
  }
};

// --- forwards ---

struct Forward {
  const Run& run;
  const float *x, *kernel, *recurrent, *bias, *cell, *hidden, *start_cell, *start_hidden;
  float *y, *last_cell, *last_hidden;
  float *gates, *cells;  // kept for the way back; null if not wanted
  float* hiddens;        // before each step, bordered; the last two if they are not kept
  float *packed_kernel, *packed_recurrent, *packed_bias, *frames, *state_cell;

  int64_t panels() const { return (run.units + kLanes - 1) / kLanes; }
  int64_t stride() const { return panels() * kLanes; }
  float* hidden_before(int64_t s) const {
    return hiddens + (gates ? s : s % 2) * run.bordered(run.units);
  }
  float* frame(int64_t s) const { return frames + s % 2 * run.bordered(run.input); }
  int64_t bordered(int64_t row) const { return (run.space.corner[row] + run.space.before) * run.units; }

  void pack(int thread) const {
    const int64_t taps = run.space.all_taps();
    for (int64_t p = thread; p < panels(); p += run.threads) {
      pack_gates(kernel, taps * run.input, run.units, p, packed_kernel);
      pack_gates(recurrent, taps * run.units, run.units, p, packed_recurrent);
      pack_gates(bias, 1, run.units, p, packed_bias);
    }
  }

  void begin(int thread) const {
    if (run.time == 0 && thread == 0) {
      std::memcpy(last_cell, cell, run.rows * run.units * sizeof(float));
      std::memcpy(last_hidden, hidden, run.rows * run.units * sizeof(float));
    }
    if (run.time == 0) return;
    for (int64_t row = run.first_row(thread); row < run.first_row(thread + 1); ++row) {
      const bool anew = run.reset(run.at(0), row);
      const float* c = (anew ? start_cell : cell) + row * run.units;
      const float* h = (anew ? start_hidden : hidden) + row * run.units;
      std::memcpy(state_cell + row * stride(), c, run.units * sizeof(float));
      std::memcpy(hidden_before(0) + bordered(row), h, run.units * sizeof(float));
    }
    prepare(thread, 0);
  }

  // What a step reads beside the places of the hidden state.
  void prepare(int thread, int64_t s) const {
    if (s >= run.time) return;
    run.copy_frames(thread, x, s, frame(s));
    for (int64_t b = thread; b < run.batch; b += run.threads)
      for (const int64_t place : run.space.border)
        std::memset(hidden_before(s) + (b * run.space.bordered + place) * run.units, 0,
                    run.units * sizeof(float));
  }

  void step(int thread, int64_t s) const {
    const int64_t taps = run.space.all_taps();
    for (int64_t p = 0; p < panels(); ++p)
      for_row_blocks(run.first_row(thread), run.first_row(thread + 1), [&](auto n, int64_t row) {
        constexpr int kRows = decltype(n)::value;
        const int64_t* corners = run.space.corner.data() + row;
        Tile<kRows> tile;
        for (int r = 0; r < kRows; ++r)
          for (int g = 0; g < kWidth; ++g)
            tile.at[r][g] = load(packed_bias + p * kPanel + g * kLanes);
        multiply_windows(tile, run.space, frame(s), run.input, corners,
                         packed_kernel + p * taps * run.input * kPanel);
        multiply_windows(tile, run.space, hidden_before(s), run.units, corners,
                         packed_recurrent + p * taps * run.units * kPanel);
        for (int r = 0; r < kRows; ++r) remember(s, p * kLanes, row + r, tile.at[r]);
      });
  }

  // What a row does with its gates.
  void remember(int64_t s, int64_t unit, int64_t row, const Vec* z) const {
    const int64_t t = run.at(s), here = row * stride() + unit;
    const int64_t out = (t * run.rows + row) * run.units + unit;
    const int count = run.lanes(unit);
    const Vec i = sigmoid(z[0]), f = sigmoid(z[1]), g = tanh(z[2]), o = sigmoid(z[3]);
    const Vec c = load(state_cell + here);
    Vec new_c = f * c + i * g, new_h = o * tanh(new_c), shown = new_h;
    if (gates) {
      float* mine = gates + (t * run.rows + row) * 4 * run.units + unit;
      store(mine, i, count);
      store(mine + run.units, f, count);
      store(mine + 2 * run.units, g, count);
      store(mine + 3 * run.units, o, count);
      store(cells + out, c, count);
    }
    if (run.masked(t, row)) {
      new_c = c, shown = Vec{};
      new_h = load(hidden_before(s) + bordered(row) + unit, count);
    }
    store(y + out, shown, count);
    if (s + 1 == run.time) {
      store(last_cell + row * run.units + unit, new_c, count);
      store(last_hidden + row * run.units + unit, new_h, count);
      return;
    }
    if (run.reset(run.at(s + 1), row)) {
      new_c = load(start_cell + row * run.units + unit, count);
      new_h = load(start_hidden + row * run.units + unit, count);
    }
    store(state_cell + here, new_c);
    store(hidden_before(s + 1) + bordered(row) + unit, new_h, count);
  }

  void work(int thread, Barrier& barrier) const {
    pack(thread);
    begin(thread);
    barrier.wait();
    for (int64_t s = 0; s < run.time; ++s) {
      prepare(thread, s + 1);
      step(thread, s);
      barrier.wait();
    }
  }
};

// --- backwards ---

struct Backward {
  const Run& run;
  const float *x, *hiddens, *gates, *cells, *recurrent, *d_y, *d_last_cell, *d_last_hidden;
  float *d_gates, *d_kernel, *d_recurrent, *d_bias;
  float *d_cell, *d_hidden, *d_start_cell, *d_start_hidden;
  float *packed, *after, *frames, *state_cell, *held, *sums;

  int64_t width() const { return 4 * run.units; }
  int64_t panels() const { return (run.units + kPanel - 1) / kPanel; }
  int64_t stride() const { return panels() * kPanel; }
  float* frame(int64_t s) const { return frames + s % 2 * run.bordered(run.input); }
  float* bordered_gates(int64_t s) const { return after + s % 2 * run.bordered(width()); }

  // The recurrent kernel, transposed and its window turned around.
  void pack(int thread) const {
    const int64_t taps = run.space.all_taps();
    for (int64_t i = thread; i < panels() * taps; i += run.threads) {
      const int64_t p = i / taps, tap = i % taps;
      pack_transposed(recurrent + (taps - 1 - tap) * run.units * width(), run.units, width(), p,
                      packed + (p * (taps - 1) + tap) * width() * kPanel);
    }
  }

  void begin(int thread) const {
    for (int64_t row = run.first_row(thread); row < run.first_row(thread + 1); ++row) {
      const int64_t from = row * run.units, to = row * stride();
      std::memcpy(state_cell + to, d_last_cell + from, run.units * sizeof(float));
      std::memcpy(held + to, d_last_hidden + from, run.units * sizeof(float));
    }
  }

  // One step back; step -1 is what comes before the first, the carry that the run began with.
  void step(int thread, int64_t s) const {
    for (int64_t p = 0; p < panels(); ++p)
      with_vectors(run.units - p * kPanel, [&](auto v) {
        constexpr int kVectors = decltype(v)::value;
        for_row_blocks(run.first_row(thread), run.first_row(thread + 1), [&](auto n, int64_t row) {
          constexpr int kRows = decltype(n)::value;
          Tile<kRows, kVectors> d_h = {};
          if (s + 1 < run.time)
            multiply_windows(d_h, run.space, bordered_gates(s + 1), width(),
                             run.space.corner.data() + row,
                             packed + p * run.space.all_taps() * width() * kPanel);
          for (int r = 0; r < kRows; ++r)
            for (int w = 0; w < kVectors; ++w)
              recall(s, row + r, p * kPanel + w * kLanes, d_h.at[r][w]);
        });
      });
  }

  // What a row does with the cotangent d_h of the hidden state after step s.
  void recall(int64_t s, int64_t row, int64_t unit, Vec d_h) const {
    const int64_t here = row * stride() + unit, mine = row * run.units + unit;
    const int count = run.lanes(unit);
    const bool last = s + 1 == run.time;
    Vec d_c = load(state_cell + here);
    if (last || run.mask) d_h += load(held + here);
    if (!last && run.reset(run.at(s + 1), row)) {
      store(d_start_hidden + mine, load(d_start_hidden + mine, count) + d_h, count);
      store(d_start_cell + mine, load(d_start_cell + mine, count) + d_c, count);
      d_h = d_c = Vec{};
    }
    if (s < 0) {
      store(d_hidden + mine, d_h, count);
      store(d_cell + mine, d_c, count);
      return;
    }
    const int64_t t = run.at(s), out = (t * run.rows + row) * run.units + unit;
    const int64_t at = (t * run.rows + row) * width() + unit;
    if (run.masked(t, row)) {
      const Vec none[4] = {};
      store_gates(s, row, unit, none);
      store(held + here, d_h);
      store(state_cell + here, d_c);
      return;
    }
    d_h += load(d_y + out, count);
    const Vec i = load(gates + at, count), f = load(gates + at + run.units, count);
    const Vec g = load(gates + at + 2 * run.units, count);
    const Vec o = load(gates + at + 3 * run.units, count);
    const Vec c = load(cells + out, count), shown = tanh(f * c + i * g);
    d_c += d_h * o * (1.0f - shown * shown);
    const Vec d[4] = {d_c * g * i * (1.0f - i), d_c * c * f * (1.0f - f), d_c * i * (1.0f - g * g),
                      d_h * shown * o * (1.0f - o)};
    store_gates(s, row, unit, d);
    if (run.mask) store(held + here, Vec{});
    store(state_cell + here, d_c * f);
  }

  void store_gates(int64_t s, int64_t row, int64_t unit, const Vec* d) const {
    float* out = d_gates + (run.at(s) * run.rows + row) * width() + unit;
    float* seen = bordered_gates(s) + (run.space.corner[row] + run.space.after) * width() + unit;
    for (int g = 0; g < 4; ++g) {
      store(out + g * run.units, d[g], run.lanes(unit));
      store(seen + g * run.units, d[g], run.lanes(unit));
    }
  }

  // The gradients of the kernels and the bias, in parts: panel by panel of their columns the rows
  // of the window, in the inputs and then in the hidden states.
  int64_t parts() const { return 2 * static_cast<int64_t>(run.space.taps.size()); }
  int64_t column_panels() const { return (width() + kPanel - 1) / kPanel; }
  int64_t depth() const { return run.space.all_taps() * (run.input + run.units) + 1; }
  int64_t first_part(int thread) const { return column_panels() * parts() * thread / run.threads; }
  float* sums_of(int64_t panel, int64_t part) const {
    const int64_t tap = part / 2, both = run.space.width * (run.input + run.units);
    return sums + (panel * depth() + tap * both + part % 2 * run.space.width * run.input) * kPanel;
  }
  float* bias_sums(int64_t panel) const { return sums + ((panel + 1) * depth() - 1) * kPanel; }

  void add_products(int thread, int64_t s, float* slab) const {
    const float* columns = d_gates + run.at(s) * run.rows * width();
    const int64_t begin = first_part(thread), end = first_part(thread + 1);
    for (int64_t p = begin / parts(); p * parts() < end; ++p) {
      const int64_t first = std::max(begin, p * parts()), last = std::min(end, (p + 1) * parts());
      const int64_t count = std::min<int64_t>(kPanel, width() - p * kPanel);
      for (int64_t m = 0; m < run.rows; m += kSlab) {
        const int64_t rows = std::min(kSlab, run.rows - m);
        copy_panel(columns + m * width() + p * kPanel, width(), slab, kPanel, rows, count);
        for (int64_t i = first; i < last; ++i) {
          if (i % parts() == 0) add_rows(slab, rows, bias_sums(p));
          add_part(s, m, rows, slab, i % parts(), sums_of(p, i % parts()));
        }
      }
    }
  }

  static void add_rows(const float* slab, int64_t rows, float* sums) {
    for (int64_t m = 0; m < rows; ++m)
      for (int w = 0; w < kWidth; ++w)
        store(sums + w * kLanes, load(sums + w * kLanes) + load(slab + m * kPanel + w * kLanes));
  }

  // sums += (what a row of the window sees)^T slab
  void add_part(int64_t s, int64_t m, int64_t rows, const float* slab, int64_t part,
                float* sums) const {
    const int64_t tap = run.space.taps[part / 2];
    const int64_t channels = part % 2 ? run.units : run.input;
    const float* seen = part % 2 ? hiddens + s * run.bordered(run.units) : frame(s);
    const int64_t* corners = run.space.corner.data() + m;
    for_row_blocks(0, run.space.width * channels, [&](auto n, int64_t d) {
      constexpr int kRows = decltype(n)::value;
      const float* from = seen + tap * channels + d;
      Tile<kRows> tile;
      for (int r = 0; r < kRows; ++r)
        for (int w = 0; w < kWidth; ++w) tile.at[r][w] = load(sums + (d + r) * kPanel + w * kLanes);
      for (int64_t k = 0; k < rows; ++k) {
        const float* a = from + corners[k] * channels;
        Vec b[kWidth];
#pragma GCC unroll 4
        for (int w = 0; w < kWidth; ++w) b[w] = load(slab + k * kPanel + w * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
          for (int w = 0; w < kWidth; ++w) tile.at[r][w] += a[r] * b[w];
        }
      }
      for (int r = 0; r < kRows; ++r)
        for (int w = 0; w < kWidth; ++w) store(sums + (d + r) * kPanel + w * kLanes, tile.at[r][w]);
    });
  }

  void copy_sums(int thread) const {
    for (int64_t i = first_part(thread); i < first_part(thread + 1); ++i) {
      const int64_t p = i / parts(), part = i % parts();
      const int64_t depth = run.space.width * (part % 2 ? run.units : run.input);
      const int64_t count = std::min<int64_t>(kPanel, width() - p * kPanel);
      float* to = (part % 2 ? d_recurrent : d_kernel) + part / 2 * depth * width() + p * kPanel;
      copy_panel(sums_of(p, part), kPanel, to, width(), depth, count);
      if (part == 0) std::memcpy(d_bias + p * kPanel, bias_sums(p), count * sizeof(float));
    }
  }

  void work(int thread, Barrier& barrier) const {
    const Scratch slab(kSlab * kPanel, true);
    pack(thread);
    begin(thread);
    barrier.wait();
    for (int64_t s = run.time - 1; s >= -1; --s) {
      step(thread, s);
      if (s >= 0) run.copy_frames(thread, x, s, frame(s));
      barrier.wait();
      if (s >= 0) add_products(thread, s, slab.get());
    }
    copy_sums(thread);
  }
};

ffi::Error forward(ffi::ThreadPool pool, Floats x, Floats kernel, Floats recurrent, Floats bias,
                   Floats cell, Floats hidden, Floats start_cell, Floats start_hidden, Flags mask,
                   Flags resets, FloatsOut y, FloatsOut last_cell, FloatsOut last_hidden,
                   FloatsOut gates, FloatsOut cells, FloatsOut hiddens, bool reverse, bool keep,
                   int64_t batch, Sizes size, Sizes window) {
  const int64_t units = cell.dimensions()[1];
  const Run run(x.dimensions()[0], batch, x.dimensions()[2], units, reverse, mask, resets, size,
                window, pool.num_threads());
  const int64_t panels = (units + kLanes - 1) / kLanes, taps = run.space.all_taps();
  const Scratch packed_kernel(panels * kPanel * taps * run.input), packed_bias(panels * kPanel);
  const Scratch packed_recurrent(panels * kPanel * taps * units);
  const Scratch state(run.rows * panels * kLanes, true);
  const Scratch frames(2 * run.bordered(run.input), true);
  const Scratch two(keep ? 0 : 2 * run.bordered(units));
  for (auto* out : {&y, &gates, &cells, &hiddens})
    expect_writing((*out)->typed_data(), (*out)->element_count());
  const Forward work{run, x.typed_data(), kernel.typed_data(), recurrent.typed_data(),
                     bias.typed_data(), cell.typed_data(), hidden.typed_data(),
                     start_cell.typed_data(), start_hidden.typed_data(), y->typed_data(),
                     last_cell->typed_data(), last_hidden->typed_data(),
                     keep ? gates->typed_data() : nullptr, cells->typed_data(),
                     keep ? hiddens->typed_data() : two.get(), packed_kernel.get(),
                     packed_recurrent.get(), packed_bias.get(), frames.get(), state.get()};
  Barrier barrier;
  barrier.set(run.threads);
  run_team(run.threads, [&](int thread) { work.work(thread, barrier); });
  return ffi::Error::Success();
}

ffi::Error backward(ffi::ThreadPool pool, Floats gates, Floats x, Floats cells, Floats hiddens,
                    Floats recurrent, Floats d_y, Floats d_last_cell, Floats d_last_hidden,
                    Flags mask, Flags resets, FloatsOut d_gates, FloatsOut d_kernel,
                    FloatsOut d_recurrent, FloatsOut d_bias, FloatsOut d_cell, FloatsOut d_hidden,
                    FloatsOut d_start_cell, FloatsOut d_start_hidden, bool reverse, int64_t batch,
                    Sizes size, Sizes window) {
  const int64_t units = d_last_cell.dimensions()[1], width = 4 * units;
  const Run run(gates.dimensions()[0], batch, x.dimensions()[2], units, reverse, mask, resets, size,
                window, pool.num_threads());
  const int64_t panels = (units + kPanel - 1) / kPanel, taps = run.space.all_taps();
  const Scratch packed(panels * kPanel * taps * width), state(run.rows * panels * kPanel, true);
  const Scratch held(run.rows * panels * kPanel, true), after(2 * run.bordered(width), true);
  const Scratch frames(2 * run.bordered(run.input), true);
  const Scratch sums(round_up(width, kPanel) * (taps * (run.input + units) + 1), true);
  for (auto* out : {&d_start_cell, &d_start_hidden})
    std::memset((*out)->typed_data(), 0, run.rows * units * sizeof(float));
  expect_writing(d_gates->typed_data(), d_gates->element_count());
  const Backward work{run, x.typed_data(), hiddens.typed_data(), gates.typed_data(),
                      cells.typed_data(), recurrent.typed_data(), d_y.typed_data(),
                      d_last_cell.typed_data(), d_last_hidden.typed_data(), d_gates->typed_data(),
                      d_kernel->typed_data(), d_recurrent->typed_data(), d_bias->typed_data(),
                      d_cell->typed_data(), d_hidden->typed_data(), d_start_cell->typed_data(),
                      d_start_hidden->typed_data(), packed.get(), after.get(), frames.get(),
                      state.get(), held.get(), sums.get()};
  Barrier barrier;
  barrier.set(run.threads);
  run_team(run.threads, [&](int thread) { work.work(thread, barrier); });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(conv_lstm_forward, forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Flags>()
                                  .Arg<Flags>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Attr<bool>("reverse")
                                  .Attr<bool>("keep")
                                  .Attr<int64_t>("batch")
                                  .Attr<Sizes>("size")
                                  .Attr<Sizes>("window"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(conv_lstm_backward, backward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Flags>()
                                  .Arg<Flags>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Attr<bool>("reverse")
                                  .Attr<int64_t>("batch")
                                  .Attr<Sizes>("size")
                                  .Attr<Sizes>("window"));
