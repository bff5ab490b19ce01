// _core.Saved: the backward pass of a layer.
#include "layer_object.h"

typedef struct kernel_run {
    int (*kernel)(ml_call *call, ml_error *err);
    ml_call *call;
} kernel_run;

static int run_kernel(void *ctx, ml_error *err)
{
    kernel_run *run = ctx;
    return run->kernel(run->call, err);
}

int ml_run_with_workspace(int (*kernel)(ml_call *, ml_error *), ml_call *call, size_t workspace)
{
    kernel_run run = {kernel, call};
    ml_error err;
    call->workspace = ml_buffer_acquire(workspace);
    if (call->workspace == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int code = ml_without_gil(run_kernel, &run, &err);
    ml_buffer_release(call->workspace);
    call->workspace = NULL;
    return code == ML_OK ? 0 : ml_raise(&err);
}

static void saved_dealloc(SavedObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    ml_buffer_release(self->call.saved);
    PyMem_Free(self->param);
    Py_XDECREF(self->owner);
    Py_XDECREF(self->inputs);
    Py_XDECREF(self->params);
    Py_XDECREF(self->outputs);
    type->tp_free(self);
    Py_DECREF(type);
}

// The gradients of one backward; `call` is a copy of the forward's, so that backwards do not meet.
typedef struct backward_run {
    ml_call call;
    PyObject *held;        // list: arrays that `call` points into
    PyObject *grad_inputs; // tuples, the result
    PyObject *grad_params;
    ml_array *grad_param;
    unsigned char *accumulate;
} backward_run;

static int take_grad_outputs(const SavedObject *self, PyObject *grads, backward_run *run)
{
    const ml_layer *layer = self->owner->layer;
    char name[80];
    if (PyTuple_GET_SIZE(grads) != (Py_ssize_t)layer->outputs) {
        PyErr_Format(PyExc_TypeError, "%s: expected %zu gradients of outputs, got %zd", layer->name,
                     layer->outputs, PyTuple_GET_SIZE(grads));
        return -1;
    }
    for (size_t i = 0; i < layer->outputs; i++) {
        PyObject *object = PyTuple_GET_ITEM(grads, (Py_ssize_t)i);
        PyOS_snprintf(name, sizeof name, "%s: gradient of %s", layer->name, layer->output[i].name);
        if (object == Py_None && layer->outputs > 1)
            continue;
        PyArrayObject *array = ml_as_reals(object, name, layer->output[i].axes);
        if (array == NULL)
            return -1;
        int kept = PyList_Append(run->held, (PyObject *)array);
        Py_DECREF(array);
        if (kept != 0 || ml_check_array((PyObject *)array, name, self->call.output[i].ndim,
                                        self->call.output[i].shape, 0) == NULL)
            return -1;
        run->call.grad_output[i] = ml_view(array);
    }
    return 0;
}

static int make_grad_inputs(const SavedObject *self, PyObject *need, backward_run *run)
{
    const ml_layer *layer = self->owner->layer;
    for (size_t i = 0; i < layer->inputs; i++) {
        int wanted = 0;
        if ((Py_ssize_t)i < PyTuple_GET_SIZE(need))
            wanted = PyObject_IsTrue(PyTuple_GET_ITEM(need, (Py_ssize_t)i));
        if (wanted < 0)
            return -1;
        PyObject *grad = Py_NewRef(Py_None);
        const ml_port *port = &layer->input[i];
        if (wanted && port->dtype == ML_REALS && !port->constant &&
            self->call.input[i].data != NULL) {
            Py_DECREF(grad);
            grad = (PyObject *)ml_new_reals(self->call.input[i].ndim, self->call.input[i].shape);
            if (grad == NULL)
                return -1;
            run->call.grad_input[i] = ml_view((PyArrayObject *)grad);
        }
        PyTuple_SET_ITEM(run->grad_inputs, (Py_ssize_t)i, grad);
    }
    return 0;
}

static int take_grad_params(const SavedObject *self, PyObject *grads, backward_run *run)
{
    const LayerObject *owner = self->owner;
    char name[80];
    if (PyTuple_GET_SIZE(grads) != (Py_ssize_t)owner->count) {
        PyErr_Format(PyExc_TypeError, "%s: expected %zu gradients of parameters, got %zd",
                     owner->layer->name, owner->count, PyTuple_GET_SIZE(grads));
        return -1;
    }
    for (size_t i = 0; i < owner->count; i++) {
        const ml_param_spec *spec = &owner->specs[i];
        PyObject *object = PyTuple_GET_ITEM(grads, (Py_ssize_t)i);
        PyObject *grad;
        if (object == Py_False) {
            PyTuple_SET_ITEM(run->grad_params, (Py_ssize_t)i, Py_NewRef(Py_None));
            continue;
        }
        if (object == Py_None) {
            grad = (PyObject *)ml_new_reals(spec->ndim, spec->shape);
        } else {
            PyOS_snprintf(name, sizeof name, "%s: gradient of %s", owner->layer->name, spec->name);
            grad = Py_XNewRef(ml_check_array(object, name, spec->ndim, spec->shape, 1));
            run->accumulate[i] = 1;
        }
        if (grad == NULL)
            return -1;
        PyTuple_SET_ITEM(run->grad_params, (Py_ssize_t)i, grad);
        run->grad_param[i] = ml_view((PyArrayObject *)grad);
    }
    return 0;
}

static int backward(SavedObject *self, PyObject *grad_outputs, PyObject *need_inputs,
                    PyObject *grad_params, backward_run *run)
{
    const LayerObject *owner = self->owner;
    run->call = self->call;
    run->held = PyList_New(0);
    run->grad_inputs = PyTuple_New((Py_ssize_t)owner->layer->inputs);
    run->grad_params = PyTuple_New((Py_ssize_t)owner->count);
    run->grad_param = PyMem_Calloc(owner->count + 1, sizeof *run->grad_param);
    run->accumulate = PyMem_Calloc(owner->count + 1, 1);
    if (run->grad_param == NULL || run->accumulate == NULL)
        PyErr_NoMemory();
    if (PyErr_Occurred())
        return -1;
    run->call.grad_param = run->grad_param;
    run->call.accumulate = run->accumulate;
    if (take_grad_outputs(self, grad_outputs, run) != 0 ||
        make_grad_inputs(self, need_inputs, run) != 0 ||
        take_grad_params(self, grad_params, run) != 0)
        return -1;
    return ml_run_with_workspace(owner->layer->backward, &run->call, self->call.backward_size);
}

PyDoc_STRVAR(
    saved_backward_doc,
    "backward($self, /, grad_outputs, need_inputs, grad_params)\n--\n\n"
    "Run the layer backward. May be called more than once, also from several threads.\n\n"
    "Parameters\n----------\n"
    "grad_outputs : tuple of ndarray or None\n"
    "    Gradient of each output, float32; None is zero (where there is more than one output).\n"
    "need_inputs : tuple of bool\n    Which inputs want a gradient.\n"
    "grad_params : tuple of ndarray, None or False\n"
    "    For each parameter: an array to add the gradient to, None for a new array, False for "
    "none.\n\n"
    "Returns\n-------\n"
    "tuple\n    (grad_inputs, grad_params), None where nothing was wanted.\n");

static PyObject *saved_backward(SavedObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"grad_outputs", "need_inputs", "grad_params", NULL};
    PyObject *grad_outputs, *need_inputs, *grad_params, *result = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!O!:backward", names, &PyTuple_Type,
                                     &grad_outputs, &PyTuple_Type, &need_inputs, &PyTuple_Type,
                                     &grad_params))
        return NULL;
    backward_run run = {0};
    if (backward(self, grad_outputs, need_inputs, grad_params, &run) == 0)
        result = PyTuple_Pack(2, run.grad_inputs, run.grad_params);
    Py_XDECREF(run.held);
    Py_XDECREF(run.grad_inputs);
    Py_XDECREF(run.grad_params);
    PyMem_Free(run.grad_param);
    PyMem_Free(run.accumulate);
    return result;
}

static PyMethodDef saved_methods[] = {
    {"backward", (PyCFunction)(void (*)(void))saved_backward, METH_VARARGS | METH_KEYWORDS,
     saved_backward_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot saved_slots[] = {
    {Py_tp_doc, (void *)"What a forward pass left for its backward pass; made by Layer.forward."},
    {Py_tp_dealloc, saved_dealloc},
    {Py_tp_methods, saved_methods},
    {0, NULL},
};

PyType_Spec ml_saved_spec = {
    .name = "minilm._core.Saved",
    .basicsize = sizeof(SavedObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = saved_slots,
};
