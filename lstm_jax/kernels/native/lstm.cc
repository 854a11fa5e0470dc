// The LSTM over time, forwards and backwards, as two calls that XLA makes.
//
//     i, f, o = sigmoid(W x + U h + b)      g = tanh(W x + U h + b)
//     c' = f * c + i * g                    h' = o * tanh(c')
//
// Every tile of a few rows and kLanes units is multiplied, activated and remembered in registers.
// Rows (examples) are shared out among threads, which then need not wait for each other; where
// there are few, units are shared out too, and the threads of a row meet after every step.
//
// Shapes: x [time, batch, input], gates [time, batch, 4 * units] in the order i f g o, states
// [batch, units], mask and resets [time, batch] or empty.
#include "memory.h"
#include "product.h"
#include "team.h"

namespace {

// What both directions know of a run.
struct Run {
  int64_t time, batch, units;
  bool reverse;
  const bool* mask;    // null: every step is valid
  const bool* resets;  // null: never
  int64_t stride;      // of a row of state in scratch memory
  Cut cut;

  int64_t at(int64_t step) const { return reverse ? time - 1 - step : step; }
  bool masked(int64_t t, int64_t row) const { return mask && !mask[t * batch + row]; }
  bool reset(int64_t t, int64_t row) const { return resets && resets[t * batch + row]; }
  int threads() const { return cut.row_cuts * cut.panel_cuts; }
};

// The part of a run that is one thread's.
struct Share {
  Share(const Run& run, int64_t panels, int thread)
      : group(thread / run.cut.panel_cuts), place(thread % run.cut.panel_cuts),
        row_begin(run.batch * group / run.cut.row_cuts),
        row_end(run.batch * (group + 1) / run.cut.row_cuts),
        panel_begin(panels * place / run.cut.panel_cuts),
        panel_end(panels * (place + 1) / run.cut.panel_cuts) {}
  int group, place;
  int64_t row_begin, row_end, panel_begin, panel_end;
  int64_t rows() const { return row_end - row_begin; }
  int64_t panels() const { return panel_end - panel_begin; }
};

struct Barriers {
  explicit Barriers(const Run& run) : groups(run.cut.row_cuts) {
    team.set(run.threads());
    for (auto& group : groups) group.set(run.cut.panel_cuts);
  }
  Barrier team;
  std::vector<Barrier> groups;
};

// --- forwards ---

struct Forward {
  Run run;
  int64_t input, panels;
  const float *x, *kernel, *recurrent, *bias, *cell, *hidden, *start_cell, *start_hidden;
  float *y, *last_cell, *last_hidden;
  float *gates, *cells, *hiddens;  // kept for the way back: before each step; null if not wanted
  float *packed_kernel, *packed_recurrent, *packed_bias;
  float *state_cell, *state_hidden[2];

  int64_t unit(int64_t panel) const { return panel * kLanes; }
  int lanes(int64_t panel) const {
    return static_cast<int>(std::min<int64_t>(kLanes, run.units - unit(panel)));
  }

  void pack(int thread) const {
    for (int64_t p = thread; p < panels; p += run.threads()) {
      pack_gates(kernel, input, run.units, p, packed_kernel);
      pack_gates(recurrent, run.units, run.units, p, packed_recurrent);
      pack_gates(bias, 1, run.units, p, packed_bias);
    }
  }

  void begin(const Share& mine) const {
    if (run.time == 0 && mine.group == 0 && mine.place == 0) {
      std::memcpy(last_cell, cell, run.batch * run.units * sizeof(float));
      std::memcpy(last_hidden, hidden, run.batch * run.units * sizeof(float));
    }
    for (int64_t row = mine.row_begin; row < mine.row_end; ++row) {
      const bool anew = run.time > 0 && run.reset(run.at(0), row);
      for (int64_t p = mine.panel_begin; p < mine.panel_end; ++p) {
        const int64_t from = row * run.units + unit(p), to = row * run.stride + unit(p);
        store(state_cell + to, load((anew ? start_cell : cell) + from, lanes(p)));
        store(state_hidden[0] + to, load((anew ? start_hidden : hidden) + from, lanes(p)));
      }
    }
  }

  // W x + b for some steps: [step, panel, row, kPanel].
  void project(const Share& mine, int64_t first, int64_t count, float* z) const {
    for (int64_t p = mine.panel_begin; p < mine.panel_end; ++p)
      for (int64_t s = 0; s < count; ++s) {
        const float* rows = x + run.at(first + s) * run.batch * input;
        float* out = z + (s * mine.panels() + p - mine.panel_begin) * mine.rows() * kPanel;
        for_row_blocks(mine.row_begin, mine.row_end, [&](auto n, int64_t row) {
          constexpr int kRows = decltype(n)::value;
          Tile<kRows> tile;
          for (int r = 0; r < kRows; ++r)
            for (int g = 0; g < kWidth; ++g)
              tile.at[r][g] = load(packed_bias + p * kPanel + g * kLanes);
          multiply_add(tile, rows + row * input, input, input, packed_kernel + p * input * kPanel);
          for (int r = 0; r < kRows; ++r)
            for (int g = 0; g < kWidth; ++g)
              store(out + (row - mine.row_begin + r) * kPanel + g * kLanes, tile.at[r][g]);
        });
      }
  }

  void step(const Share& mine, int64_t s, const float* z) const {
    const float* before = state_hidden[s % 2];
    for (int64_t p = mine.panel_begin; p < mine.panel_end; ++p) {
      const float* in = z + (p - mine.panel_begin) * mine.rows() * kPanel;
      const float* panel = packed_recurrent + p * run.units * kPanel;
      for_row_blocks(mine.row_begin, mine.row_end, [&](auto n, int64_t row) {
        constexpr int kRows = decltype(n)::value;
        Tile<kRows> tile;
        for (int r = 0; r < kRows; ++r)
          for (int g = 0; g < kWidth; ++g)
            tile.at[r][g] = load(in + (row - mine.row_begin + r) * kPanel + g * kLanes);
        multiply_add(tile, before + row * run.stride, run.stride, run.units, panel);
        for (int r = 0; r < kRows; ++r) remember(s, p, row + r, tile.at[r]);
      });
    }
  }

  // What a row does with its gates.
  void remember(int64_t s, int64_t p, int64_t row, const Vec* z) const {
    const int64_t t = run.at(s), here = row * run.stride + unit(p);
    const int64_t out = (t * run.batch + row) * run.units + unit(p);
    const int count = lanes(p);
    const Vec i = sigmoid(z[0]), f = sigmoid(z[1]), g = tanh(z[2]), o = sigmoid(z[3]);
    const Vec c = load(state_cell + here), h = load(state_hidden[s % 2] + here);
    Vec new_c = f * c + i * g, new_h = o * tanh(new_c), shown = new_h;
    if (gates) {
      const int64_t at = (t * run.batch + row) * 4 * run.units + unit(p);
      store(gates + at, i, count);
      store(gates + at + run.units, f, count);
      store(gates + at + 2 * run.units, g, count);
      store(gates + at + 3 * run.units, o, count);
      store(cells + out, c, count);
      store(hiddens + out, h, count);
    }
    if (run.masked(t, row)) new_c = c, new_h = h, shown = Vec{};
    store(y + out, shown, count);
    if (s + 1 == run.time) {
      store(last_cell + row * run.units + unit(p), new_c, count);
      store(last_hidden + row * run.units + unit(p), new_h, count);
    } else if (run.reset(run.at(s + 1), row)) {
      new_c = load(start_cell + row * run.units + unit(p), count);
      new_h = load(start_hidden + row * run.units + unit(p), count);
    }
    store(state_cell + here, new_c);
    store(state_hidden[(s + 1) % 2] + here, new_h);
  }

  void work(int thread, Barriers& barriers) const {
    const Share mine(run, panels, thread);
    pack(thread);
    begin(mine);
    barriers.team.wait();
    // So many steps that the input's matrix is read once for some fifty rows.
    const int64_t chunk = std::max<int64_t>(1, 48 / std::max<int64_t>(1, mine.rows()));
    const int64_t size = mine.panels() * mine.rows() * kPanel;
    const Scratch z(chunk * size);
    for (int64_t s = 0; s < run.time; ++s) {
      if (s % chunk == 0) project(mine, s, std::min(chunk, run.time - s), z.get());
      step(mine, s, z.get() + s % chunk * size);
      barriers.groups[mine.group].wait();
    }
  }
};

// --- backwards ---

struct Backward {
  Run run;
  int64_t panels;
  int64_t input;
  const float *x, *hiddens, *gates, *cells, *recurrent, *d_y, *d_last_cell, *d_last_hidden;
  float *d_gates, *d_kernel, *d_recurrent, *d_bias;
  float *d_cell, *d_hidden, *d_start_cell, *d_start_hidden;
  float *packed, *state_cell, *held;  // held: of hidden states that a masked step passed by
  float* biases;                      // of every thread [thread, 4, stride]

  int lanes(int64_t unit) const {
    return static_cast<int>(std::min<int64_t>(kLanes, run.units - unit));
  }

  void pack(int thread) const {
    for (int64_t p = thread; p < panels; p += run.threads())
      pack_transposed(recurrent, run.units, 4 * run.units, p, packed);
  }

  void begin(const Share& mine) const {
    for (int64_t row = mine.row_begin; row < mine.row_end; ++row)
      for (int64_t u = mine.panel_begin * kPanel; u < mine.panel_end * kPanel; u += kLanes) {
        if (u >= run.units) break;
        store(state_cell + row * run.stride + u, load(d_last_cell + row * run.units + u, lanes(u)));
        store(held + row * run.stride + u, load(d_last_hidden + row * run.units + u, lanes(u)));
      }
  }

  // One step back; step -1 is what comes before the first, the carry that the run began with.
  void step(const Share& mine, int64_t s, float* my_biases) const {
    const bool last = s + 1 == run.time;
    const float* after = last ? nullptr : d_gates + run.at(s + 1) * run.batch * 4 * run.units;
    for (int64_t p = mine.panel_begin; p < mine.panel_end; ++p)
      with_vectors(run.units - p * kPanel, [&](auto v) {
        constexpr int kVectors = decltype(v)::value;
        for_row_blocks(mine.row_begin, mine.row_end, [&](auto n, int64_t row) {
          constexpr int kRows = decltype(n)::value;
          Tile<kRows, kVectors> d_h = {};
          if (!last)
            multiply_add(d_h, after + row * 4 * run.units, 4 * run.units, 4 * run.units,
                         packed + p * 4 * run.units * kPanel);
          for (int w = 0; w < kVectors; ++w) {
            const int64_t unit = p * kPanel + w * kLanes;
            Vec sums[4] = {};
            for (int r = 0; r < kRows; ++r) recall(s, row + r, unit, d_h.at[r][w], sums);
            for (int g = 0; g < 4 && s >= 0; ++g) {
              float* sum = my_biases + g * run.stride + unit;
              store(sum, load(sum) + sums[g]);
            }
          }
        });
      });
  }

  // What a row does with the cotangent d_h of the hidden state after step s.
  void recall(int64_t s, int64_t row, int64_t unit, Vec d_h, Vec* sums) const {
    const int64_t here = row * run.stride + unit, mine = row * run.units + unit;
    const int count = lanes(unit);
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
    const int64_t t = run.at(s), out = (t * run.batch + row) * run.units + unit;
    const int64_t at = (t * run.batch + row) * 4 * run.units + unit;
    if (run.masked(t, row)) {
      for (int g = 0; g < 4; ++g) store(d_gates + at + g * run.units, Vec{}, count);
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
    for (int k = 0; k < 4; ++k) {
      store(d_gates + at + k * run.units, d[k], count);
      sums[k] += d[k];
    }
    if (run.mask) store(held + here, Vec{});
    store(state_cell + here, d_c * f);
  }

  void work(int thread, Barriers& barriers) const {
    const Share mine(run, panels, thread);
    pack(thread);
    begin(mine);
    barriers.team.wait();
    for (int64_t s = run.time - 1; s >= -1; --s) {
      step(mine, s, biases + thread * 4 * run.stride);
      barriers.groups[mine.group].wait();
    }
    barriers.team.wait();
    if (mine.group == 0) add_biases(mine);
    add_products(thread);
  }

  // The gradients of both kernels, a panel of their columns after another.
  void add_products(int thread) const {
    const int64_t width = 4 * run.units, depth = input + run.units, total = run.time * run.batch;
    const int64_t all = (width + kPanel - 1) / kPanel;
    const Scratch sums(depth * kPanel), slab(kSlab * kPanel, true);
    for (int64_t p = thread; p < all; p += run.threads()) {
      const int64_t first = p * kPanel, columns = std::min<int64_t>(kPanel, width - first);
      std::memset(sums.get(), 0, depth * kPanel * sizeof(float));
      for (int64_t m = 0; m < total; m += kSlab) {
        const int64_t count = std::min(kSlab, total - m);
        copy_panel(d_gates + m * width + first, width, slab.get(), kPanel, count, columns);
        add_outer(x + m * input, count, input, slab.get(), sums.get());
        add_outer(hiddens + m * run.units, count, run.units, slab.get(),
                  sums.get() + input * kPanel);
      }
      copy_panel(sums.get(), kPanel, d_kernel + first, width, input, columns);
      copy_panel(sums.get() + input * kPanel, kPanel, d_recurrent + first, width, run.units,
                 columns);
    }
  }

  // In the order of the threads, so that a sum is the same every time.
  void add_biases(const Share& mine) const {
    const int64_t end = std::min(run.units, mine.panel_end * kPanel);
    for (int g = 0; g < 4; ++g)
      for (int64_t u = mine.panel_begin * kPanel; u < end; ++u) {
        float sum = 0;
        for (int group = 0; group < run.cut.row_cuts; ++group)
          sum += biases[((group * run.cut.panel_cuts + mine.place) * 4 + g) * run.stride + u];
        d_bias[g * run.units + u] = sum;
      }
  }
};

Run make_run(int64_t time, const Floats& state, bool reverse, const Flags& mask,
             const Flags& resets) {
  const int64_t units = state.dimensions()[1];
  return {time, state.dimensions()[0], units, reverse, flags(mask), flags(resets),
          round_up(units, kPanel), {}};
}

ffi::Error forward(ffi::ThreadPool pool, Floats x, Floats kernel, Floats recurrent, Floats bias,
                   Floats cell, Floats hidden, Floats start_cell, Floats start_hidden, Flags mask,
                   Flags resets, FloatsOut y, FloatsOut last_cell, FloatsOut last_hidden,
                   FloatsOut gates, FloatsOut cells, FloatsOut hiddens, bool reverse, bool keep) {
  Run run = make_run(x.dimensions()[0], cell, reverse, mask, resets);
  const int64_t input = x.dimensions()[2], panels = (run.units + kLanes - 1) / kLanes;
  run.cut = best_cut(run.batch, panels, run.units, pool.num_threads(), run.time);
  const Scratch packed_kernel(panels * kPanel * input), packed_bias(panels * kPanel);
  const Scratch packed_recurrent(panels * kPanel * run.units);
  const Scratch state(3 * run.batch * run.stride);
  const int64_t size = run.batch * run.stride;
  for (auto* out : {&y, &gates, &cells, &hiddens})
    expect_writing((*out)->typed_data(), (*out)->element_count());
  Forward work{run, input, panels, x.typed_data(), kernel.typed_data(), recurrent.typed_data(),
               bias.typed_data(), cell.typed_data(), hidden.typed_data(), start_cell.typed_data(),
               start_hidden.typed_data(), y->typed_data(), last_cell->typed_data(),
               last_hidden->typed_data(), keep ? gates->typed_data() : nullptr,
               cells->typed_data(), hiddens->typed_data(), packed_kernel.get(),
               packed_recurrent.get(), packed_bias.get(), state.get(),
               {state.get() + size, state.get() + 2 * size}};
  Barriers barriers(run);
  run_team(run.threads(), [&](int thread) { work.work(thread, barriers); });
  return ffi::Error::Success();
}

ffi::Error backward(ffi::ThreadPool pool, Floats gates, Floats x, Floats cells, Floats hiddens,
                    Floats recurrent, Floats d_y, Floats d_last_cell, Floats d_last_hidden,
                    Flags mask, Flags resets, FloatsOut d_gates, FloatsOut d_kernel,
                    FloatsOut d_recurrent, FloatsOut d_bias, FloatsOut d_cell, FloatsOut d_hidden,
                    FloatsOut d_start_cell, FloatsOut d_start_hidden, bool reverse) {
  Run run = make_run(gates.dimensions()[0], d_last_cell, reverse, mask, resets);
  const int64_t panels = (run.units + kPanel - 1) / kPanel, size = run.batch * run.stride;
  run.cut = best_cut(run.batch, panels, 4 * run.units, pool.num_threads(), run.time);
  const Scratch packed(panels * kPanel * 4 * run.units), state(2 * size);
  const Scratch biases(run.threads() * 4 * run.stride, true);
  std::memset(d_start_cell->typed_data(), 0, run.batch * run.units * 4);
  std::memset(d_start_hidden->typed_data(), 0, run.batch * run.units * 4);
  expect_writing(d_gates->typed_data(), d_gates->element_count());
  Backward work{run, panels, x.dimensions()[2], x.typed_data(), hiddens.typed_data(),
                gates.typed_data(), cells.typed_data(), recurrent.typed_data(), d_y.typed_data(),
                d_last_cell.typed_data(), d_last_hidden.typed_data(), d_gates->typed_data(),
                d_kernel->typed_data(), d_recurrent->typed_data(), d_bias->typed_data(),
                d_cell->typed_data(),
                d_hidden->typed_data(), d_start_cell->typed_data(), d_start_hidden->typed_data(),
                packed.get(), state.get(), state.get() + size, biases.get()};
  Barriers barriers(run);
  run_team(run.threads(), [&](int thread) { work.work(thread, barriers); });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(lstm_forward, forward,
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
                                  .Attr<bool>("keep"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(lstm_backward, backward,
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
                                  .Attr<bool>("reverse"));
