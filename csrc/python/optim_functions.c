// Optimizer steps and changes of gradients: each call serves all parameters.
#include "functions.h"
#include "param_lists.h"

typedef int update_fn(const ml_param *params, size_t count, const void *config, ml_error *err);

typedef struct update {
    update_fn *run;
    const param_lists *lists;
    const void *config;
} update;

static int run_update(void *ctx, ml_error *err)
{
    const update *u = ctx;
    return u->run(u->lists->params, u->lists->count, u->config, err);
}

// Checks the lists, runs what is to be done with them, and lets go of them; -1 with an exception.
static int with_lists(param_lists *lists, update_fn *run, const void *config)
{
    int code = param_lists_open(lists);
    if (code == 0) {
        ml_error err;
        code = ml_without_gil(run_update, &(update){run, lists, config}, &err);
        if (code != ML_OK)
            ml_raise(&err);
    }
    param_lists_close(lists);
    return code == ML_OK ? 0 : -1;
}

static PyObject *none_after(int code)
{
    if (code != 0)
        return NULL;
    Py_RETURN_NONE;
}

// ---- optimizer steps --------------------------------------------------------------------------

const char py_sgd_step_doc[] = PyDoc_STR(
    "sgd_step($module, params, grads, momentum_buffers, lr, momentum=0.0, dampening=0.0,\n"
    "         weight_decay=0.0, nesterov=False, maximize=False, first=False)\n--\n\n"
    "One step of stochastic gradient descent on all parameters, in place.\n\n"
    "Parameters\n----------\n"
    "params, grads, momentum_buffers : sequence of ndarray\n"
    "    Float32, C-contiguous, of equal shapes; params and buffers are overwritten. No buffers\n"
    "    (None): no momentum.\n"
    "first : bool\n    Take the gradient for the buffer, whatever that holds.\n");

static int sgd(const ml_param *params, size_t count, const void *config, ml_error *err)
{
    return ml_sgd_step(params, count, config, err);
}

PyObject *py_sgd_step(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    param_lists lists = {
        .list = {[LIST_VALUE] = {"params", .written = 1},
                 [LIST_GRAD] = {"grads"},
                 [LIST_STATE] = {"momentum_buffers", .written = 1, .optional = 1}}};
    ml_sgd config = {0};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OOOd|dddppp:sgd_step",
            ML_NAMES("params", "grads", "momentum_buffers", "lr", "momentum", "dampening",
                     "weight_decay", "nesterov", "maximize", "first"),
            &lists.list[LIST_VALUE].given, &lists.list[LIST_GRAD].given,
            &lists.list[LIST_STATE].given, &config.lr, &config.momentum, &config.dampening,
            &config.weight_decay, &config.nesterov, &config.maximize, &config.first))
        return NULL;
    return none_after(with_lists(&lists, sgd, &config));
}

const char py_adam_step_doc[] = PyDoc_STR(
    "adam_step($module, params, grads, exp_avgs, exp_avg_sqs, step, lr, beta1=0.9, beta2=0.999,\n"
    "          eps=1e-08, weight_decay=0.0, decoupled=False, maximize=False)\n--\n\n"
    "One step of Adam, or of AdamW (decoupled), on all parameters, in place.\n\n"
    "Parameters\n----------\n"
    "params, grads, exp_avgs, exp_avg_sqs : sequence of ndarray\n"
    "    Float32, C-contiguous, of equal shapes; all but grads are overwritten.\n"
    "step : int\n    Number of the step, from 1.\n");

static int adam(const ml_param *params, size_t count, const void *config, ml_error *err)
{
    return ml_adam_step(params, count, config, err);
}

PyObject *py_adam_step(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    param_lists lists = {.list = {[LIST_VALUE] = {"params", .written = 1},
                                  [LIST_GRAD] = {"grads"},
                                  [LIST_STATE] = {"exp_avgs", .written = 1},
                                  [LIST_STATE + 1] = {"exp_avg_sqs", .written = 1}}};
    ml_adam config = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OOOOO&d|ddddpp:adam_step",
            ML_NAMES("params", "grads", "exp_avgs", "exp_avg_sqs", "step", "lr", "beta1", "beta2",
                     "eps", "weight_decay", "decoupled", "maximize"),
            &lists.list[LIST_VALUE].given, &lists.list[LIST_GRAD].given,
            &lists.list[LIST_STATE].given, &lists.list[LIST_STATE + 1].given, ml_to_count,
            &config.step, &config.lr, &config.beta1, &config.beta2, &config.eps,
            &config.weight_decay, &config.decoupled, &config.maximize))
        return NULL;
    return none_after(with_lists(&lists, adam, &config));
}

const char py_adagrad_step_doc[] =
    PyDoc_STR("adagrad_step($module, params, grads, sums, step, lr, lr_decay=0.0, eps=1e-10,\n"
              "             weight_decay=0.0, maximize=False)\n--\n\n"
              "One step of Adagrad on all parameters, in place.\n\n"
              "Parameters\n----------\n"
              "params, grads, sums : sequence of ndarray\n"
              "    Float32, C-contiguous, of equal shapes; params and sums are overwritten.\n"
              "step : int\n    Number of the step, from 1.\n");

static int adagrad(const ml_param *params, size_t count, const void *config, ml_error *err)
{
    return ml_adagrad_step(params, count, config, err);
}

PyObject *py_adagrad_step(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    param_lists lists = {.list = {[LIST_VALUE] = {"params", .written = 1},
                                  [LIST_GRAD] = {"grads"},
                                  [LIST_STATE] = {"sums", .written = 1}}};
    ml_adagrad config = {.eps = 1e-10};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO&d|dddp:adagrad_step",
                                     ML_NAMES("params", "grads", "sums", "step", "lr", "lr_decay",
                                              "eps", "weight_decay", "maximize"),
                                     &lists.list[LIST_VALUE].given, &lists.list[LIST_GRAD].given,
                                     &lists.list[LIST_STATE].given, ml_to_count, &config.step,
                                     &config.lr, &config.lr_decay, &config.eps,
                                     &config.weight_decay, &config.maximize))
        return NULL;
    return none_after(with_lists(&lists, adagrad, &config));
}

const char py_rmsprop_step_doc[] = PyDoc_STR(
    "rmsprop_step($module, params, grads, square_avgs, grad_avgs, momentum_buffers, lr, "
    "alpha=0.99,\n"
    "             eps=1e-08, weight_decay=0.0, momentum=0.0, maximize=False)\n--\n\n"
    "One step of RMSprop on all parameters, in place.\n\n"
    "Parameters\n----------\n"
    "params, grads, square_avgs, grad_avgs, momentum_buffers : sequence of ndarray\n"
    "    Float32, C-contiguous, of equal shapes; all but grads are overwritten. No grad_avgs\n"
    "    (None): not centered. No momentum_buffers (None): no momentum.\n");

static int rmsprop(const ml_param *params, size_t count, const void *config, ml_error *err)
{
    return ml_rmsprop_step(params, count, config, err);
}

PyObject *py_rmsprop_step(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    param_lists lists = {
        .list = {[LIST_VALUE] = {"params", .written = 1},
                 [LIST_GRAD] = {"grads"},
                 [LIST_STATE] = {"square_avgs", .written = 1},
                 [LIST_STATE + 1] = {"grad_avgs", .written = 1, .optional = 1},
                 [LIST_STATE + 2] = {"momentum_buffers", .written = 1, .optional = 1}}};
    ml_rmsprop config = {.alpha = 0.99, .eps = 1e-8};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OOOOOd|ddddp:rmsprop_step",
            ML_NAMES("params", "grads", "square_avgs", "grad_avgs", "momentum_buffers", "lr",
                     "alpha", "eps", "weight_decay", "momentum", "maximize"),
            &lists.list[LIST_VALUE].given, &lists.list[LIST_GRAD].given,
            &lists.list[LIST_STATE].given, &lists.list[LIST_STATE + 1].given,
            &lists.list[LIST_STATE + 2].given, &config.lr, &config.alpha, &config.eps,
            &config.weight_decay, &config.momentum, &config.maximize))
        return NULL;
    return none_after(with_lists(&lists, rmsprop, &config));
}

// ---- gradients --------------------------------------------------------------------------------

const char py_grad_norm_doc[] =
    PyDoc_STR("grad_norm($module, grads, norm_type=2.0)\n--\n\n"
              "The p-norm of all gradients taken as one vector, summed in double.\n\n"
              "Parameters\n----------\n"
              "grads : sequence of ndarray\n    Float32, C-contiguous.\n"
              "norm_type : float\n    p, above 0; inf for the largest absolute value.\n\n"
              "Returns\n-------\n"
              "float\n    NaN where a gradient is NaN.\n");

typedef struct norm_call {
    double p;
    double *norm;
} norm_call;

static int norm(const ml_param *params, size_t count, const void *config, ml_error *err)
{
    const norm_call *call = config;
    return ml_grad_norm(params, count, call->p, call->norm, err);
}

PyObject *py_grad_norm(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    param_lists lists = {.list = {[LIST_GRAD] = {"grads"}}};
    double result;
    norm_call call = {2, &result};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|d:grad_norm", ML_NAMES("grads", "norm_type"),
                                     &lists.list[LIST_GRAD].given, &call.p))
        return NULL;
    return with_lists(&lists, norm, &call) == 0 ? PyFloat_FromDouble(result) : NULL;
}

const char py_scale_grads_doc[] = PyDoc_STR("scale_grads($module, grads, factor)\n--\n\n"
                                            "Multiply all gradients by a factor, in place.\n");

static int scale(const ml_param *params, size_t count, const void *factor, ml_error *err)
{
    return ml_grad_scale(params, count, *(const double *)factor, err);
}

PyObject *py_scale_grads(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    param_lists lists = {.list = {[LIST_GRAD] = {"grads", .written = 1}}};
    double factor;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Od:scale_grads", ML_NAMES("grads", "factor"),
                                     &lists.list[LIST_GRAD].given, &factor))
        return NULL;
    return none_after(with_lists(&lists, scale, &factor));
}

const char py_clip_grads_doc[] =
    PyDoc_STR("clip_grads($module, grads, value)\n--\n\n"
              "Cut every element of all gradients to [-value, value], in place. NaN stays NaN.\n");

static int clip(const ml_param *params, size_t count, const void *value, ml_error *err)
{
    return ml_grad_clip(params, count, *(const double *)value, err);
}

PyObject *py_clip_grads(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    param_lists lists = {.list = {[LIST_GRAD] = {"grads", .written = 1}}};
    double value;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Od:clip_grads", ML_NAMES("grads", "value"),
                                     &lists.list[LIST_GRAD].given, &value))
        return NULL;
    return none_after(with_lists(&lists, clip, &value));
}
