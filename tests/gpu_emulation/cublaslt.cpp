// A libcublasLt that computes on the CPU, with the names, constants and struct sizes of cublasLt.h (cuBLAS 12).
//
// It supports the plain matmul of floating-point matrices. It returns CUBLAS_STATUS_NOT_SUPPORTED for what only the
// real library can do, CUBLAS_STATUS_INVALID_VALUE for wrong arguments, and an error wherever the manual leaves the
// real library's behavior open.
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <map>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

#include "cuda_language.h"
#include "conversions.h"

using cuda_on_cpu::bf16_bits_to_float;

// ---- the constants of library_types.h, cublas_api.h and cublasLt.h ----

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum Type { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
enum Compute { COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_32F_FAST_TF32 = 77 };
enum Order { COLUMN_MAJOR = 0, ROW_MAJOR = 1 };
enum Transpose { OP_N = 0, OP_T = 1 };
enum Epilogue { DEFAULT = 1, BIAS = 4, GELU = 32, GELU_BIAS = 36, BGRADA = 256, BGRADB = 512 };

struct Layout {
    int32_t type = 0, order = COLUMN_MAJOR, batches = 1;
    uint64_t rows = 0, columns = 0;
    int64_t ld = 0, batch_stride = 0;
};

struct Operation {
    int32_t compute = 0, scale_type = 0, pointer_mode = 0, transa = OP_N, transb = OP_N, transc = OP_N, fill_mode = 2;
    uint32_t epilogue = DEFAULT;
    char *bias = nullptr;
    int64_t bias_batch_stride = 0;
    int32_t bias_type = -1;
};

struct Preference {
    int32_t search_mode = 0;
    uint64_t workspace = 0;
    uint32_t reduction_schemes = ~0u, alignment[4] = {256, 256, 256, 256};
};

struct Algorithm { // 64 bytes, opaque to the caller
    uint64_t mark, workspace, unused[6];
};

struct Heuristic {
    Algorithm algorithm;
    size_t workspace;
    int32_t state;
    float waves;
    int32_t reserved[4];
};
static_assert(sizeof(Algorithm) == 64 && sizeof(Heuristic) == 96);

static const uint64_t MARK = 0x6b726f776c6c6177;
static const uint64_t WORKSPACE = 4096; // bytes that our algorithm requires, so that a missing workspace is noticed

struct Handle {
    uint64_t mark;
};

// ---- a matmul with all its arguments: what a stream records ----

struct Job {
    Operation operation;
    double alpha, beta;
    const char *A, *B, *C;
    char *D, *workspace;
    Layout a, b, c, d;
    uint64_t workspace_bytes;
};

static size_t size_of(int type) { return type == R_64F ? 8 : type == R_32F ? 4 : 2; }

static float load(const char *p, int type) {
    unsigned short bits;
    memcpy(&bits, p, sizeof bits);
    return type == R_16F ? half_bits_to_float(bits) : bf16_bits_to_float(bits);
}

template <class Real> static Real read(const char *p, int type, uint64_t i) {
    p += i * size_of(type);
    if (type == R_64F) return static_cast<Real>(*reinterpret_cast<const double *>(p));
    return type == R_32F ? *reinterpret_cast<const float *>(p) : load(p, type);
}

template <class Real> static void write(char *p, int type, uint64_t i, Real value) {
    p += i * size_of(type);
    if (type == R_64F) *reinterpret_cast<double *>(p) = value;
    if (type == R_32F) *reinterpret_cast<float *>(p) = static_cast<float>(value);
    if (type == R_16F) *reinterpret_cast<unsigned short *>(p) = float_to_half_bits(static_cast<float>(value));
    if (type == R_16BF) *reinterpret_cast<unsigned short *>(p) = float_to_bf16_bits(static_cast<float>(value));
}

// TensorFloat-32 has a mantissa of 10 bits.
static float as_tf32(float x) {
    const unsigned bits = __float_as_uint(x);
    return isfinite(x) ? __uint_as_float((bits + 0xFFF + (bits >> 13 & 1)) & ~0x1FFFu) : x;
}

static uint64_t place(const Layout &m, uint64_t row, uint64_t column, uint64_t batch) {
    return batch * m.batch_stride + (m.order == ROW_MAJOR ? row * m.ld + column : column * m.ld + row);
}

// Return op(m) of one batch, row-major.
template <class Real>
static std::vector<Real> unpacked(const char *p, const Layout &m, bool transposed, bool tf32, uint64_t batch) {
    const uint64_t rows = transposed ? m.columns : m.rows, columns = transposed ? m.rows : m.columns;
    std::vector<Real> out(rows * columns);
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t j = 0; j < columns; j++) {
            const Real x = read<Real>(p, m.type, transposed ? place(m, j, i, batch) : place(m, i, j, batch));
            out[i * columns + j] = tf32 ? static_cast<Real>(as_tf32(static_cast<float>(x))) : x;
        }
    return out;
}

template <class Real> static Real gelu(Real x) {
    return Real(0.5) * x * (1 + tanh(Real(0.7978845608028654) * (x + Real(0.044715) * x * x * x)));
}

// Write the gradient of a bias: the sum over k of op(A)'s rows or op(B)'s columns.
template <class Real>
static void write_bias_gradient(const Job &job, const std::vector<Real> &A, const std::vector<Real> &B, uint64_t k,
                                uint64_t offset) {
    const bool of_a = job.operation.epilogue == BGRADA;
    const uint64_t n = job.d.columns, count = of_a ? job.d.rows : n;
    for (uint64_t i = 0; i < count; i++) {
        Real sum = 0;
        for (uint64_t j = 0; j < k; j++) sum += of_a ? A[i * k + j] : B[j * n + i];
        write(job.operation.bias, job.d.type, offset + i, sum);
    }
}

template <class Real> static void multiply(const Job &job) {
    const Operation &op = job.operation;
    const bool tf32 = op.compute == COMPUTE_32F_FAST_TF32;
    const uint64_t m = job.d.rows, n = job.d.columns, k = op.transa == OP_T ? job.a.rows : job.a.columns;
    const bool biased = op.epilogue == BIAS || op.epilogue == GELU_BIAS;
    const Real alpha = static_cast<Real>(job.alpha), beta = static_cast<Real>(job.beta);
    std::vector<Real> line(n);
    for (uint64_t batch = 0; batch < static_cast<uint64_t>(job.d.batches); batch++) {
        const auto A = unpacked<Real>(job.A, job.a, op.transa == OP_T, tf32, batch);
        const auto B = unpacked<Real>(job.B, job.b, op.transb == OP_T, tf32, batch);
        const uint64_t bias_offset = batch * op.bias_batch_stride;
        for (uint64_t i = 0; i < m; i++) {
            std::fill(line.begin(), line.end(), Real(0));
            for (uint64_t l = 0; l < k; l++) {
                const Real scale = A[i * k + l], *row = &B[l * n];
                for (uint64_t j = 0; j < n; j++) line[j] += scale * row[j];
            }
            for (uint64_t j = 0; j < n; j++) {
                Real x = alpha * line[j];
                if (beta != 0) x += beta * read<Real>(job.C, job.c.type, place(job.c, i, j, batch));
                if (biased) x += read<Real>(op.bias, job.d.type, bias_offset + i);
                if (op.epilogue == GELU || op.epilogue == GELU_BIAS) x = gelu(x);
                write(job.D, job.d.type, place(job.d, i, j, batch), x);
            }
        }
        if (op.epilogue == BGRADA || op.epilogue == BGRADB) write_bias_gradient(job, A, B, k, bias_offset);
    }
}

static void run(const Job &job) {
    if (job.workspace_bytes) memset(job.workspace, 0xA5, job.workspace_bytes); // we may overwrite it
    job.operation.compute == COMPUTE_64F ? multiply<double>(job) : multiply<float>(job);
}

// ---- checks ----

static bool known(int type) { return type == R_32F || type == R_64F || type == R_16F || type == R_16BF; }

static bool types_supported(const Operation &op, int inputs, int outputs) {
    if (op.compute == COMPUTE_64F) return op.scale_type == R_64F && inputs == R_64F && outputs == R_64F;
    if (op.scale_type != R_32F) return false;
    if (op.compute == COMPUTE_32F_FAST_TF32) return inputs == R_32F && outputs == R_32F;
    const bool sixteen = inputs == R_16F || inputs == R_16BF;
    return op.compute == COMPUTE_32F && (inputs == R_32F || sixteen) &&
           (outputs == R_32F || (sixteen && outputs == inputs));
}

static Status check_layout(const Layout &m, const Layout &d) {
    if (m.order != COLUMN_MAJOR && m.order != ROW_MAJOR) return NOT_SUPPORTED;
    const int64_t width = m.order == ROW_MAJOR ? m.columns : m.rows;
    const int64_t lines = m.order == ROW_MAJOR ? m.rows : m.columns;
    if (width < 1 || lines < 1 || m.ld < width || m.batches < 1 || m.batches != d.batches) return INVALID_VALUE;
    if (&m == &d && m.batches > 1 && m.batch_stride < (lines - 1) * m.ld + width) return INVALID_VALUE;
    return SUCCESS;
}

static Status check(const Operation &op, const Layout &a, const Layout &b, const Layout &c, const Layout &d) {
    const Layout *all[] = {&a, &b, &c, &d};
    for (const Layout *m : all)
        if (!known(m->type)) return NOT_SUPPORTED;
    if (op.pointer_mode != 0 || op.transc != OP_N || op.fill_mode != 2) return NOT_SUPPORTED;
    if ((op.transa != OP_N && op.transa != OP_T) || (op.transb != OP_N && op.transb != OP_T)) return NOT_SUPPORTED;
    for (const Layout *m : all)
        if (const Status status = check_layout(*m, d)) return status;
    const uint64_t m = op.transa == OP_T ? a.columns : a.rows, k = op.transa == OP_T ? a.rows : a.columns;
    const uint64_t k_of_b = op.transb == OP_T ? b.columns : b.rows, n = op.transb == OP_T ? b.rows : b.columns;
    if (k != k_of_b || d.rows != m || d.columns != n || c.rows != m || c.columns != n) return INVALID_VALUE;
    if (a.type != b.type || c.type != d.type || c.order != d.order) return NOT_SUPPORTED;
    if (!types_supported(op, a.type, d.type)) return NOT_SUPPORTED;
    if (op.epilogue == DEFAULT) return SUCCESS;
    switch (op.epilogue) {
    case BIAS: case GELU: case GELU_BIAS: case BGRADA: case BGRADB: break;
    default: return NOT_SUPPORTED;
    }
    if (op.compute == COMPUTE_64F || d.order == ROW_MAJOR) return NOT_SUPPORTED;
    if (op.bias_type != -1 && op.bias_type != d.type) return NOT_SUPPORTED;
    return SUCCESS;
}

static uint64_t extent(const Layout &m) { // in elements, of all batches
    const uint64_t last = place(m, m.rows - 1, m.columns - 1, m.batches - 1);
    return last + 1;
}

static bool overlap(const char *p, const Layout &m, const char *q, const Layout &n) {
    return p < q + extent(n) * size_of(n.type) && q < p + extent(m) * size_of(m.type);
}

static bool aligned(const void *p, size_t bytes) { return p && reinterpret_cast<size_t>(p) % bytes == 0; }

static Status check_pointers(const Job &job) {
    if (!aligned(job.A, size_of(job.a.type)) || !aligned(job.B, size_of(job.b.type))) return INVALID_VALUE;
    if (!aligned(job.D, size_of(job.d.type))) return INVALID_VALUE;
    if (job.beta != 0 && !aligned(job.C, size_of(job.c.type))) return INVALID_VALUE;
    const bool with_bias = job.operation.epilogue != DEFAULT && job.operation.epilogue != GELU;
    if (with_bias && !aligned(job.operation.bias, size_of(job.d.type))) return INVALID_VALUE;
    if (overlap(job.D, job.d, job.A, job.a) || overlap(job.D, job.d, job.B, job.b)) return INVALID_VALUE;
    const bool in_place = job.C == job.D && job.c.ld == job.d.ld && job.c.batch_stride == job.d.batch_stride;
    if (job.beta != 0 && !in_place && overlap(job.D, job.d, job.C, job.c)) return INVALID_VALUE;
    return SUCCESS;
}

// ---- attributes: number and location; the size passed must match exactly ----

struct Slot {
    void *data;
    size_t bytes;
};

template <class T> static Slot slot(T &value) { return {&value, sizeof value}; }

static Status set(Slot to, const void *from, size_t bytes) {
    if (!to.data) return NOT_SUPPORTED;
    if (!from || bytes != to.bytes) return INVALID_VALUE;
    memcpy(to.data, from, bytes);
    return SUCCESS;
}

static Slot attribute(Layout &m, int number) {
    switch (number) {
    case 0: return slot(m.type);
    case 1: return slot(m.order);
    case 2: return slot(m.rows);
    case 3: return slot(m.columns);
    case 4: return slot(m.ld);
    case 5: return slot(m.batches);
    case 6: return slot(m.batch_stride);
    }
    return {};
}

static Slot attribute(Operation &op, int number) {
    switch (number) {
    case 0: return slot(op.compute);
    case 1: return slot(op.scale_type);
    case 2: return slot(op.pointer_mode);
    case 3: return slot(op.transa);
    case 4: return slot(op.transb);
    case 5: return slot(op.transc);
    case 6: return slot(op.fill_mode);
    case 7: return slot(op.epilogue);
    case 8: return slot(op.bias);
    case 10: return slot(op.bias_batch_stride);
    case 26: return slot(op.bias_type);
    }
    return {};
}

static Slot attribute(Preference &preference, int number) {
    switch (number) {
    case 0: return slot(preference.search_mode);
    case 1: return slot(preference.workspace);
    case 3: return slot(preference.reduction_schemes);
    case 5: case 6: case 7: case 8: return slot(preference.alignment[number - 5]);
    }
    return {};
}

template <class T> static Status destroy(T *object) {
    delete object;
    return SUCCESS;
}

EXPORT int cublasLtCreate(Handle **handle) {
    *handle = new Handle{MARK};
    return SUCCESS;
}

EXPORT int cublasLtDestroy(Handle *handle) {
    if (!handle || handle->mark != MARK) return NOT_INITIALIZED;
    handle->mark = 0;
    return destroy(handle);
}

EXPORT size_t cublasLtGetVersion() { return 120903; }

EXPORT const char *cublasLtGetStatusString(int status) {
    switch (status) {
    case SUCCESS: return "success";
    case NOT_INITIALIZED: return "the library was not initialized";
    case INVALID_VALUE: return "an unsupported value or parameter was passed to the function";
    case EXECUTION_FAILED: return "the function failed to launch on the GPU";
    case NOT_SUPPORTED: return "the requested functionality is not supported";
    }
    return "unknown status";
}

EXPORT int cublasLtMatmulDescCreate(Operation **operation, int compute, int scale_type) {
    *operation = new Operation;
    (*operation)->compute = compute;
    (*operation)->scale_type = scale_type;
    return SUCCESS;
}
EXPORT int cublasLtMatmulDescDestroy(Operation *operation) { return destroy(operation); }
EXPORT int cublasLtMatmulDescSetAttribute(Operation *operation, int number, const void *value, size_t bytes) {
    return set(attribute(*operation, number), value, bytes);
}

EXPORT int cublasLtMatrixLayoutCreate(Layout **layout, int type, uint64_t rows, uint64_t columns, int64_t ld) {
    *layout = new Layout;
    (*layout)->type = type;
    (*layout)->rows = rows;
    (*layout)->columns = columns;
    (*layout)->ld = ld;
    return SUCCESS;
}
EXPORT int cublasLtMatrixLayoutDestroy(Layout *layout) { return destroy(layout); }
EXPORT int cublasLtMatrixLayoutSetAttribute(Layout *layout, int number, const void *value, size_t bytes) {
    return set(attribute(*layout, number), value, bytes);
}

EXPORT int cublasLtMatmulPreferenceCreate(Preference **preference) {
    *preference = new Preference;
    return SUCCESS;
}
EXPORT int cublasLtMatmulPreferenceDestroy(Preference *preference) { return destroy(preference); }
EXPORT int cublasLtMatmulPreferenceSetAttribute(Preference *preference, int number, const void *value, size_t bytes) {
    return set(attribute(*preference, number), value, bytes);
}

EXPORT int cublasLtMatmulAlgoGetHeuristic(Handle *handle, Operation *operation, Layout *a, Layout *b, Layout *c,
                                          Layout *d, Preference *preference, int wanted, Heuristic *results,
                                          int *found) {
    if (!handle || handle->mark != MARK) return NOT_INITIALIZED;
    if (!operation || !a || !b || !c || !d || !preference || !results || !found || wanted < 1) return INVALID_VALUE;
    *found = 0;
    if (const Status status = check(*operation, *a, *b, *c, *d)) return status;
    memset(results, 0, sizeof *results);
    results->workspace = std::min(preference->workspace, WORKSPACE);
    results->algorithm.mark = MARK;
    results->algorithm.workspace = results->workspace;
    results->waves = 1.0f;
    *found = 1;
    return SUCCESS;
}

// ---- the matmul, done at once or submitted to the emulated stream ----

static std::map<int, Job> jobs; // submitted, or part of a graph
static int next_job;
static int (*submit)(int job); // returns 0, or a status

EXPORT void emulation_on_submit(int (*callback)(int)) { submit = callback; }
EXPORT void emulation_run(int job) { run(jobs.at(job)); }
EXPORT void emulation_forget(int job) { jobs.erase(job); }

EXPORT int cublasLtMatmul(Handle *handle, Operation *operation, const void *alpha, const void *A, Layout *a,
                          const void *B, Layout *b, const void *beta, const void *C, Layout *c, void *D, Layout *d,
                          const Algorithm *algorithm, void *workspace, size_t workspace_bytes, void *stream) {
    (void)stream; // there is only one
    if (!handle || handle->mark != MARK) return NOT_INITIALIZED;
    if (!operation || !alpha || !beta || !a || !b || !c || !d) return INVALID_VALUE;
    if (const Status status = check(*operation, *a, *b, *c, *d)) return status;
    const auto number = [&](const void *p) {
        return operation->scale_type == R_64F ? *static_cast<const double *>(p) : *static_cast<const float *>(p);
    };
    const uint64_t needed = algorithm ? algorithm->workspace : 0;
    if (algorithm && algorithm->mark != MARK) return INVALID_VALUE;
    if (workspace_bytes < needed || (needed && !aligned(workspace, 256))) return INVALID_VALUE;
    const Job job = {*operation, number(alpha), number(beta), (const char *)A, (const char *)B, (const char *)C,
                     (char *)D, (char *)workspace, *a, *b, *c, *d, needed};
    if (const Status status = check_pointers(job)) return status;
    if (!submit) {
        run(job);
        return SUCCESS;
    }
    jobs[next_job] = job;
    return submit(next_job++);
}
