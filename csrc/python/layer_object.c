// _core.Layer: any entry of the table of layers, and its forward pass.
#include "layer_object.h"

enum { MAX_PARAMS = 1 << 16 };

// ---- Layer ------------------------------------------------------------------------------------

static void layer_dealloc(LayerObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyMem_Free(self->config);
    PyMem_Free(self->specs);
    type->tp_free(self);
    Py_DECREF(type);
}

static int set_fields(LayerObject *self, PyObject *kwargs)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    ml_error err;
    while (kwargs != NULL && PyDict_Next(kwargs, &at, &key, &value)) {
        const char *name = PyUnicode_AsUTF8(key);
        double number = PyFloat_AsDouble(value);
        if (name == NULL)
            return -1;
        if (number == -1 && PyErr_Occurred()) {
            PyErr_Format(PyExc_TypeError, "%s: %s: expected a number, got %R", self->layer->name,
                         name, value);
            return -1;
        }
        if (ml_config_set(self->layer, self->config, name, number, &err) != ML_OK)
            return ml_raise(&err);
    }
    for (const ml_field *field = self->layer->fields; field->name != NULL; field++) {
        if (!field->required)
            continue;
        PyObject *name = PyUnicode_FromString(field->name);
        int given = name != NULL && kwargs != NULL ? PyDict_Contains(kwargs, name) : 0;
        Py_XDECREF(name);
        if (given < 0 || name == NULL)
            return -1;
        if (!given) {
            PyErr_Format(PyExc_TypeError, "%s: the setting '%s' is missing", self->layer->name,
                         field->name);
            return -1;
        }
    }
    if (self->layer->check != NULL && self->layer->check(self->config, &err) != ML_OK)
        return ml_raise(&err);
    return 0;
}

static int describe_params(LayerObject *self)
{
    if (self->layer->param_count != NULL)
        self->count = self->layer->param_count(self->config);
    if (self->count > MAX_PARAMS) {
        PyErr_Format(PyExc_ValueError, "%s: %zu parameters are more than %d", self->layer->name,
                     self->count, MAX_PARAMS);
        return -1;
    }
    self->specs = PyMem_Calloc(self->count + 1, sizeof *self->specs);
    if (self->specs == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < self->count; i++)
        self->layer->describe(self->layer, self->config, i, &self->specs[i]);
    return 0;
}

static void refuse_kind(const char *kind)
{
    PyObject *names = PyList_New(0);
    for (const ml_layer *const *layer = ml_layers(); names != NULL && *layer != NULL; layer++) {
        PyObject *name = PyUnicode_FromString((*layer)->name);
        if (name == NULL || PyList_Append(names, name) != 0)
            Py_CLEAR(names);
        Py_XDECREF(name);
    }
    if (names != NULL)
        PyErr_Format(PyExc_ValueError, "unknown kind of layer '%s': expected one of %S", kind,
                     names);
    Py_XDECREF(names);
}

static PyObject *layer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    const char *kind;
    if (!PyArg_ParseTuple(args, "s:Layer", &kind))
        return NULL;
    const ml_layer *layer = ml_layer_find(kind);
    if (layer == NULL) {
        refuse_kind(kind);
        return NULL;
    }
    LayerObject *self = (LayerObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->layer = layer;
    self->config = PyMem_Calloc(1, layer->config_size);
    if (self->config == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    ml_config_init(layer, self->config);
    if (set_fields(self, kwargs) != 0 || describe_params(self) != 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *layer_kind(LayerObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(self->layer->name);
}

static PyObject *layer_config(LayerObject *self, void *closure)
{
    (void)closure;
    PyObject *dict = PyDict_New();
    for (const ml_field *field = self->layer->fields; dict != NULL && field->name != NULL;
         field++) {
        double number = ml_config_get(field, self->config);
        PyObject *value = field->type == ML_FIELD_REAL   ? PyFloat_FromDouble(number)
                          : field->type == ML_FIELD_FLAG ? PyBool_FromLong(number != 0)
                                                         : PyLong_FromDouble(number);
        if (value == NULL || PyDict_SetItemString(dict, field->name, value) != 0)
            Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *layer_params(LayerObject *self, void *closure)
{
    (void)closure;
    PyObject *tuple = PyTuple_New((Py_ssize_t)self->count);
    for (size_t i = 0; tuple != NULL && i < self->count; i++) {
        const ml_param_spec *spec = &self->specs[i];
        PyObject *item = spec->ndim == 1
                             ? Py_BuildValue("s(n)", spec->name, (Py_ssize_t)spec->shape[0])
                             : Py_BuildValue("s(nn)", spec->name, (Py_ssize_t)spec->shape[0],
                                             (Py_ssize_t)spec->shape[1]);
        if (item == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
    }
    return tuple;
}

// ---- forward ----------------------------------------------------------------------------------

// A message's name for an array: "lstm: h_0".
static const char *full_name(const LayerObject *self, const char *part, char *text, size_t size)
{
    PyOS_snprintf(text, size, "%s: %s", self->layer->name, part);
    return text;
}

// Fills saved->inputs and the call's inputs.
static int take_inputs(SavedObject *saved, PyObject *inputs)
{
    const ml_layer *layer = saved->owner->layer;
    Py_ssize_t given = PyTuple_GET_SIZE(inputs);
    char name[80];
    if (given > (Py_ssize_t)layer->inputs) {
        PyErr_Format(PyExc_TypeError, "%s: expected at most %zu inputs, got %zd", layer->name,
                     layer->inputs, given);
        return -1;
    }
    for (size_t i = 0; i < layer->inputs; i++) {
        const ml_port *port = &layer->input[i];
        PyObject *object =
            (Py_ssize_t)i < given ? PyTuple_GET_ITEM(inputs, (Py_ssize_t)i) : Py_None;
        full_name(saved->owner, port->name, name, sizeof name);
        if (object == Py_None) {
            if (!port->optional) {
                PyErr_Format(PyExc_TypeError, "%s: expected an array %s, got None", name,
                             port->axes);
                return -1;
            }
            PyTuple_SET_ITEM(saved->inputs, (Py_ssize_t)i, Py_NewRef(Py_None));
            continue;
        }
        PyArrayObject *array = port->dtype == ML_IDS ? ml_as_ids(object, name, port->axes)
                                                     : ml_as_reals(object, name, port->axes);
        if (array == NULL)
            return -1;
        PyTuple_SET_ITEM(saved->inputs, (Py_ssize_t)i, (PyObject *)array);
        if (PyArray_NDIM(array) > ML_MAX_DIMS) {
            PyErr_Format(PyExc_ValueError, "%s: at most %d axes, got %d", name, ML_MAX_DIMS,
                         PyArray_NDIM(array));
            return -1;
        }
        saved->call.input[i] = ml_view(array);
    }
    return 0;
}

// Checks the parameters and fills the call's views of them.
static int take_params(SavedObject *saved, PyObject *params)
{
    const LayerObject *owner = saved->owner;
    char name[80];
    if (PyTuple_GET_SIZE(params) != (Py_ssize_t)owner->count) {
        PyErr_Format(PyExc_TypeError, "%s: expected %zu parameters, got %zd", owner->layer->name,
                     owner->count, PyTuple_GET_SIZE(params));
        return -1;
    }
    saved->params = Py_NewRef(params);
    saved->param = PyMem_Calloc(owner->count + 1, sizeof *saved->param);
    if (saved->param == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    saved->call.param = saved->param;
    for (size_t i = 0; i < owner->count; i++) {
        const ml_param_spec *spec = &owner->specs[i];
        PyArrayObject *array = ml_check_array(PyTuple_GET_ITEM(params, (Py_ssize_t)i),
                                              full_name(owner, spec->name, name, sizeof name),
                                              spec->ndim, spec->shape, 0);
        if (array == NULL)
            return -1;
        saved->param[i] = ml_view(array);
    }
    return 0;
}

static int make_outputs(SavedObject *saved)
{
    ml_call *call = &saved->call;
    for (size_t i = 0; i < saved->owner->layer->outputs; i++) {
        PyArrayObject *array = ml_new_reals(call->output[i].ndim, call->output[i].shape);
        if (array == NULL)
            return -1;
        PyTuple_SET_ITEM(saved->outputs, (Py_ssize_t)i, (PyObject *)array);
        call->output[i] = ml_view(array);
    }
    return 0;
}

static SavedObject *saved_new(LayerObject *owner)
{
    ml_module_state *state = ml_state_of(Py_TYPE(owner));
    if (state == NULL)
        return NULL;
    SavedObject *saved = (SavedObject *)state->saved_type->tp_alloc(state->saved_type, 0);
    if (saved == NULL)
        return NULL;
    saved->owner = (LayerObject *)Py_NewRef(owner);
    saved->inputs = PyTuple_New((Py_ssize_t)owner->layer->inputs);
    saved->outputs = PyTuple_New((Py_ssize_t)owner->layer->outputs);
    saved->call.layer = owner->layer;
    saved->call.config = owner->config;
    if (saved->inputs == NULL || saved->outputs == NULL)
        Py_CLEAR(saved);
    return saved;
}

static int forward(SavedObject *saved, PyObject *inputs, PyObject *params)
{
    const ml_layer *layer = saved->owner->layer;
    ml_error err;
    if (take_inputs(saved, inputs) != 0 || take_params(saved, params) != 0)
        return -1;
    if (layer->prepare(&saved->call, &err) != ML_OK)
        return ml_raise(&err);
    if (make_outputs(saved) != 0)
        return -1;
    saved->call.saved = ml_buffer_acquire(saved->call.saved_size);
    if (saved->call.saved == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return ml_run_with_workspace(layer->forward, &saved->call, saved->call.forward_size);
}

PyDoc_STRVAR(
    layer_forward_doc,
    "forward($self, /, inputs, params, *, training=False, need_grad=False, seed=0, "
    "offset=0)\n--\n\n"
    "Run the layer over a whole batch.\n\n"
    "Parameters\n----------\n"
    "inputs : tuple of ndarray or None\n"
    "    float32 arrays and int64 ids, as the kind wants them; None for an optional one.\n"
    "params : tuple of ndarray\n"
    "    float32, C-contiguous, in the order of `params`.\n"
    "training : bool\n    Dropout acts.\n"
    "need_grad : bool\n    Keep what `Saved.backward` needs.\n"
    "seed, offset : int\n    Key and stream of the random numbers (Philox4x32-10).\n\n"
    "Returns\n-------\n"
    "tuple\n    (outputs, saved): a tuple of new float32 arrays, and a `Saved` or None.\n\n"
    "Raises\n------\n"
    "TypeError, ValueError, IndexError, MemoryError\n"
    "    The message names the argument, what was expected and what came.\n");

static PyObject *layer_forward(LayerObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"inputs", "params", "training", "need_grad", "seed", "offset", NULL};
    PyObject *inputs, *params;
    int training = 0, need_grad = 0;
    unsigned long long seed = 0, offset = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!|$ppKK:forward", names, &PyTuple_Type,
                                     &inputs, &PyTuple_Type, &params, &training, &need_grad, &seed,
                                     &offset))
        return NULL;
    SavedObject *saved = saved_new(self);
    if (saved == NULL)
        return NULL;
    saved->call.training = training;
    saved->call.need_grad = need_grad;
    saved->call.seed = seed;
    saved->call.stream = offset;
    PyObject *result = NULL;
    if (forward(saved, inputs, params) == 0)
        result = PyTuple_Pack(2, saved->outputs, need_grad ? (PyObject *)saved : Py_None);
    Py_DECREF(saved);
    return result;
}

// ---- types ------------------------------------------------------------------------------------

PyDoc_STRVAR(
    layer_doc,
    "Layer(kind, /, **config)\n--\n\n"
    "A layer of the C core: its settings, not its weights. `_core.LAYERS` lists the kinds.\n\n"
    "Attributes\n----------\n"
    "kind : str\n"
    "config : dict\n    All settings, presets included.\n"
    "params : tuple of (str, tuple of int)\n    Name and shape of each parameter, as PyTorch has "
    "them.\n");

static PyGetSetDef layer_getset[] = {
    {"kind", (getter)layer_kind, NULL, "Name of the kind.", NULL},
    {"config", (getter)layer_config, NULL, "All settings, presets included.", NULL},
    {"params", (getter)layer_params, NULL, "Name and shape of each parameter.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef layer_methods[] = {
    {"forward", (PyCFunction)(void (*)(void))layer_forward, METH_VARARGS | METH_KEYWORDS,
     layer_forward_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot layer_slots[] = {
    {Py_tp_doc, (void *)layer_doc}, {Py_tp_new, layer_new},         {Py_tp_dealloc, layer_dealloc},
    {Py_tp_getset, layer_getset},   {Py_tp_methods, layer_methods}, {0, NULL},
};

static PyType_Spec layer_spec = {
    .name = "minilm._core.Layer",
    .basicsize = sizeof(LayerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = layer_slots,
};

int ml_add_layer_types(PyObject *module)
{
    ml_module_state *state = PyModule_GetState(module);
    state->layer_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &layer_spec, NULL);
    if (state->layer_type == NULL || PyModule_AddType(module, state->layer_type) != 0)
        return -1;
    state->saved_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &ml_saved_spec, NULL);
    return state->saved_type != NULL ? PyModule_AddType(module, state->saved_type) : -1;
}
