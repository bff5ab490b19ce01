// The table of layers and the reading of their settings.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "layer.h"

#define LAYER(name) extern const ml_layer ml_layer_##name;
#include "layers.def"
#undef LAYER

const ml_layer *const *ml_layers(void)
{
    static const ml_layer *const table[] = {
#define LAYER(name) &ml_layer_##name,
#include "layers.def"
#undef LAYER
        NULL,
    };
    return table;
}

const ml_layer *ml_layer_find(const char *name)
{
    for (const ml_layer *const *layer = ml_layers(); *layer != NULL; layer++)
        if (strcmp((*layer)->name, name) == 0)
            return *layer;
    return NULL;
}

const char *ml_layer_incomplete(const ml_layer *layer)
{
    if (layer->fields == NULL || layer->config_size == 0)
        return "fields";
    if (layer->prepare == NULL || layer->forward == NULL)
        return "forward";
    if (layer->backward == NULL)
        return "backward";
    if (layer->inputs == 0 || layer->outputs == 0)
        return "ports";
    if ((layer->param_count == NULL) != (layer->describe == NULL))
        return "describe";
    for (size_t i = 0; i < layer->inputs; i++)
        if (layer->input[i].name == NULL || layer->input[i].axes == NULL)
            return "name of an input";
    for (size_t i = 0; i < layer->outputs; i++)
        if (layer->output[i].name == NULL || layer->output[i].axes == NULL)
            return "name of an output";
    return NULL;
}

// ---- settings ---------------------------------------------------------------------------------

static void store(const ml_field *field, void *config, double value)
{
    char *at = (char *)config + field->offset;
    switch (field->type) {
    case ML_FIELD_SIZE: *(size_t *)(void *)at = (size_t)value; break;
    case ML_FIELD_INT: *(int64_t *)(void *)at = (int64_t)value; break;
    case ML_FIELD_FLAG: *(int *)(void *)at = value != 0; break;
    case ML_FIELD_REAL: *(double *)(void *)at = value; break;
    }
}

double ml_config_get(const ml_field *field, const void *config)
{
    const char *at = (const char *)config + field->offset;
    switch (field->type) {
    case ML_FIELD_SIZE: return (double)*(const size_t *)(const void *)at;
    case ML_FIELD_INT: return (double)*(const int64_t *)(const void *)at;
    case ML_FIELD_FLAG: return (double)*(const int *)(const void *)at;
    default: return *(const double *)(const void *)at;
    }
}

void ml_config_init(const ml_layer *layer, void *config)
{
    memset(config, 0, layer->config_size);
    for (const ml_field *field = layer->fields; field->name != NULL; field++)
        store(field, config, field->preset);
}

static int refuse_setting(const ml_layer *layer, const char *name, ml_error *err)
{
    char names[256] = "";
    size_t used = 0;
    for (const ml_field *field = layer->fields; field->name != NULL && used < sizeof names; field++)
        used += (size_t)snprintf(names + used, sizeof names - used, used > 0 ? ", %s" : "%s",
                                 field->name);
    return ml_fail(err, ML_ERR_VALUE, "%s has no setting '%s': expected one of %s", layer->name,
                   name, names);
}

int ml_config_set(const ml_layer *layer, void *config, const char *name, double value,
                  ml_error *err)
{
    const double exact = 9007199254740992.0; // 2^53: whole numbers beyond it are not all doubles
    const ml_field *field = layer->fields;
    while (field->name != NULL && strcmp(field->name, name) != 0)
        field++;
    if (field->name == NULL)
        return refuse_setting(layer, name, err);
    int whole = value >= -exact && value <= exact && value == (double)(int64_t)value;
    switch (field->type) {
    case ML_FIELD_SIZE:
        if (!whole || value < 1)
            return ml_fail(err, ML_ERR_VALUE,
                           "%s: %s: expected a whole number of at least 1, got %g", layer->name,
                           name, value);
        break;
    case ML_FIELD_INT:
        if (!whole)
            return ml_fail(err, ML_ERR_VALUE, "%s: %s: expected a whole number, got %g",
                           layer->name, name, value);
        break;
    case ML_FIELD_FLAG:
        if (value != 0 && value != 1)
            return ml_fail(err, ML_ERR_VALUE, "%s: %s: expected True or False, got %g", layer->name,
                           name, value);
        break;
    case ML_FIELD_REAL:
        if (value != value)
            return ml_fail(err, ML_ERR_VALUE, "%s: %s: expected a number, got NaN", layer->name,
                           name);
        break;
    }
    store(field, config, value);
    return ML_OK;
}

// ---- helpers ----------------------------------------------------------------------------------

size_t ml_array_size(const ml_array *array)
{
    size_t size = 1;
    for (int i = 0; i < array->ndim; i++)
        size *= array->shape[i];
    return size;
}

const char *ml_shape_text(const ml_array *array, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "(");
    for (int i = 0; i < array->ndim && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, i > 0 ? ", %zu" : "%zu", array->shape[i]);
    if (used < size)
        snprintf(text + used, size - used, array->ndim == 1 ? ",)" : ")");
    return text;
}

void ml_same_shape(ml_array *to, const ml_array *from)
{
    to->ndim = from->ndim;
    memcpy(to->shape, from->shape, sizeof to->shape);
}

static void position_text(const ml_array *array, size_t flat, char *text, size_t size)
{
    size_t index[ML_MAX_DIMS];
    for (int i = array->ndim - 1; i >= 0; i--) {
        index[i] = flat % array->shape[i];
        flat /= array->shape[i];
    }
    ml_array position = {.ndim = array->ndim};
    memcpy(position.shape, index, (size_t)array->ndim * sizeof *index);
    ml_shape_text(&position, text, size);
}

int ml_check_ids(const ml_array *ids, const char *name, size_t limit, int64_t also, ml_error *err)
{
    const int64_t *id = ids->data;
    size_t n = ml_array_size(ids);
    for (size_t i = 0; i < n; i++) {
        if ((id[i] >= 0 && (uint64_t)id[i] < limit) || (also != 0 && id[i] == also))
            continue;
        char at[96];
        position_text(ids, i, at, sizeof at);
        return ml_fail(
            err, ML_ERR_INDEX,
            "%s: id %lld at position %s is outside 0..%lld: encoded with another vocabulary?", name,
            (long long)id[i], at, (long long)limit - 1);
    }
    return ML_OK;
}

void ml_clear(ml_array *array) { memset(array->data, 0, ml_array_size(array) * sizeof(ml_real)); }
