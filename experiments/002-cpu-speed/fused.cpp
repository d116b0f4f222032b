// F(4x4, 3x3) of one layer in C++ with AVX2: input transform, 36 products and output transform fused per block of tiles.
//
// What an XLA FFI call per layer could gain, as a program of its own: g++ -O3 -march=native -std=c++17 -pthread fused.cpp && ./a.out
// Arguments: threads (2), rounds (7). Maps are float32 [h, w, c] whose sides are multiples of 4, padded by a pixel of zeros before the
// clock starts. The points are 0, ±1, ±2 and infinity (Lavin and Gray 2016), cheaper than those of nst_jax.networks.ops.winograd.

#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

using Floats = std::vector<float>;
using Vector = __m256;

static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
static Vector sub(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
static Vector fma(float a, Vector b, Vector c) { return _mm256_fmadd_ps(_mm256_set1_ps(a), b, c); }
static Vector twice(Vector a) { return add(a, a); }

// Bᵀ d, six values to six.
static inline void transform_input(const Vector* d, Vector* v) {
  Vector a = fma(-4, d[2], d[4]), b = fma(-4, d[1], d[3]), c = sub(d[4], d[2]), e = twice(sub(d[3], d[1]));
  v[0] = fma(4, d[0], fma(-5, d[2], d[4]));
  v[1] = add(a, b);
  v[2] = sub(a, b);
  v[3] = add(c, e);
  v[4] = sub(c, e);
  v[5] = fma(4, d[1], fma(-5, d[3], d[5]));
}

// Aᵀ m, six values to four.
static inline void transform_output(const Vector* m, Vector* y) {
  Vector p = add(m[1], m[2]), q = sub(m[1], m[2]), r = add(m[3], m[4]), s = sub(m[3], m[4]);
  y[0] = add(add(m[0], p), r);
  y[1] = fma(2, s, q);
  y[2] = fma(4, r, p);
  y[3] = add(fma(8, s, q), m[5]);
}

struct Layer {
  int height, width, in, out;
  Floats kernel;  // transformed, [36][out / 16][in][16]
};

static Layer make_layer(int height, int width, int in, int out, const Floats& kernel) {  // kernel [3][3][in][out]
  const double G[6][3] = {{1 / 4., 0, 0},           {-1 / 6., -1 / 6., -1 / 6.}, {-1 / 6., 1 / 6., -1 / 6.},
                          {1 / 24., 1 / 12., 1 / 6.}, {1 / 24., -1 / 12., 1 / 6.}, {0, 0, 1}};
  Layer layer{height, width, in, out, Floats(size_t(36) * in * out)};
  for (int i = 0; i < in; i++)
    for (int o = 0; o < out; o++)
      for (int p = 0; p < 36; p++) {
        double sum = 0;
        for (int k = 0; k < 9; k++) sum += G[p / 6][k / 3] * G[p % 6][k % 3] * kernel[(size_t(k) * in + i) * out + o];
        layer.kernel[((size_t(p) * (out / 16) + o / 16) * in + i) * 16 + o % 16] = float(sum);
      }
  return layer;
}

// c [rows, out] = a [rows, in] u, six rows and sixteen columns at a time; rows is a multiple of six.
static void product(const float* a, const float* u, float* c, int rows, int in, int out) {
  for (int j = 0; j < out / 16; j++)
    for (int row = 0; row < rows; row += 6) {
      const float *left = a + size_t(row) * in, *right = u + size_t(j) * in * 16;
      Vector sum[12];
      for (auto& s : sum) s = _mm256_setzero_ps();
      for (int k = 0; k < in; k++, right += 16) {
        Vector x = _mm256_loadu_ps(right), y = _mm256_loadu_ps(right + 8);
        for (int i = 0; i < 6; i++) {
          Vector b = _mm256_broadcast_ss(left + size_t(i) * in + k);
          sum[2 * i] = _mm256_fmadd_ps(b, x, sum[2 * i]);
          sum[2 * i + 1] = _mm256_fmadd_ps(b, y, sum[2 * i + 1]);
        }
      }
      for (int i = 0; i < 6; i++)
        for (int half = 0; half < 2; half++) _mm256_storeu_ps(c + size_t(row + i) * out + j * 16 + 8 * half, sum[2 * i + half]);
    }
}

// Tiles [begin, end) of relu(convolution + bias), `block` tiles at a time.
static void convolve_tiles(const Layer& layer, const float* x, const float* bias, float* y, int block, int begin, int end) {
  const int across = layer.width / 4, in = layer.in, out = layer.out;
  const size_t line = size_t(layer.width + 2) * in;
  Floats v(size_t(36) * block * in), m(size_t(36) * block * out);
  for (int first = begin; first < end; first += block) {
    const int count = std::min(block, end - first);
    for (int t = 0; t < count; t++) {
      const float* corner = x + size_t((first + t) / across * 4) * line + size_t((first + t) % across * 4) * in;
      for (int c = 0; c < in; c += 8) {
        Vector columns[6][6], d[6], w[6];
        for (int q = 0; q < 6; q++) {
          for (int p = 0; p < 6; p++) d[p] = _mm256_loadu_ps(corner + p * line + size_t(q) * in + c);
          transform_input(d, w);
          for (int p = 0; p < 6; p++) columns[p][q] = w[p];
        }
        for (int p = 0; p < 6; p++) {
          transform_input(columns[p], w);
          for (int q = 0; q < 6; q++) _mm256_storeu_ps(&v[(size_t(p * 6 + q) * block + t) * in + c], w[q]);
        }
      }
    }
    for (size_t p = 0; p < 36; p++)
      product(&v[p * block * in], &layer.kernel[p * in * out], &m[p * block * out], block, in, out);
    for (int t = 0; t < count; t++) {
      float* corner = y + (size_t((first + t) / across * 4) * layer.width + (first + t) % across * 4) * out;
      for (int c = 0; c < out; c += 8) {
        Vector columns[4][6], d[6], w[4], b = _mm256_loadu_ps(bias + c);
        for (int q = 0; q < 6; q++) {
          for (int p = 0; p < 6; p++) d[p] = _mm256_loadu_ps(&m[(size_t(p * 6 + q) * block + t) * out + c]);
          transform_output(d, w);
          for (int p = 0; p < 4; p++) columns[p][q] = w[p];
        }
        for (int p = 0; p < 4; p++) {
          transform_output(columns[p], w);
          for (int q = 0; q < 4; q++)
            _mm256_storeu_ps(corner + (size_t(p) * layer.width + q) * out + c, _mm256_max_ps(_mm256_setzero_ps(), add(w[q], b)));
        }
      }
    }
  }
}

static void convolve(const Layer& layer, const Floats& x, const Floats& bias, Floats& y, int block, int threads) {
  const int tiles = layer.height / 4 * (layer.width / 4);
  std::vector<std::thread> others;
  for (int i = 0; i < threads; i++)
    others.emplace_back(convolve_tiles, std::cref(layer), x.data(), bias.data(), y.data(), block, tiles * i / threads,
                        tiles * (i + 1) / threads);
  for (auto& thread : others) thread.join();
}

static double uniform() { return rand() / (RAND_MAX + 1.); }

// The largest difference from the direct convolution in double precision, at 200 places.
static double error_of(const Layer& layer, const Floats& x, const Floats& kernel, const Floats& bias, const Floats& y) {
  double largest = 0;
  for (int i = 0; i < 200; i++) {
    const int row = rand() % layer.height, column = rand() % layer.width, o = rand() % layer.out;
    double sum = bias[o];
    for (int k = 0; k < 9; k++)
      for (int c = 0; c < layer.in; c++)
        sum += double(x[(size_t(row + k / 3) * (layer.width + 2) + column + k % 3) * layer.in + c]) *
               kernel[(size_t(k) * layer.in + c) * layer.out + o];
    largest = std::max(largest, std::fabs(std::max(0., sum) - y[(size_t(row) * layer.width + column) * layer.out + o]));
  }
  return largest;
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? atoi(argv[1]) : 2, rounds = argc > 2 ? atoi(argv[2]) : 7;
  const int shapes[][3] = {{512, 64, 64}, {256, 64, 128}, {256, 128, 128}, {128, 128, 256}, {128, 256, 256}, {64, 512, 512}};
  for (auto& [side, in, out] : shapes) {
    Floats kernel(size_t(9) * in * out), x(size_t(side + 2) * (side + 2) * in), bias(out, 0.01f), y(size_t(side) * side * out);
    for (auto& value : kernel) value = float((uniform() - 0.5) / in);
    for (int row = 1; row <= side; row++)
      for (int i = in; i < (side + 1) * in; i++) x[size_t(row) * (side + 2) * in + i] = float(uniform());
    const Layer layer = make_layer(side, side, in, out, kernel);
    for (int block : {24, 48, 96, 192}) {
      std::vector<double> times;
      for (int i = 0; i <= rounds; i++) {  // the first does not count
        const auto begin = std::chrono::steady_clock::now();
        convolve(layer, x, bias, y, block, threads);
        times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
      }
      std::sort(times.begin() + 1, times.end());
      const double middle = times[1 + rounds / 2], gflop = 2e-9 * 36 * (side / 4) * (side / 4) * in * out;
      printf("%3d px, %3d to %3d channels, blocks of %3d tiles: median %6.1f ms, best %6.1f, %3.0f GFLOP/s of products, error %.0e\n",
             side, in, out, block, middle, times[1], 1e3 * gflop / middle, error_of(layer, x, kernel, bias, y));
    }
  }
}
