/* ax/query.h - properties of VNN-LIB 2.0: of tensors with shapes, of hidden
 * values, of several networks. A query becomes a property in VNN-LIB 1.0 of
 * one network, which is what is proved and what certificates are bound to;
 * so nothing that checks a certificate has to know of it.
 * Source: the VNN-LIB standard, grammar of version 2.0. */
#ifndef AX_QUERY_H
#define AX_QUERY_H

#include "ax/model.h"

AX_BEGIN_API

struct ax_query;

/* Does a text begin like one, with (vnnlib-version? */
bool ax_query_is(const char *text, size_t n);
/* The bytes, n of them, are hostile, and must stay as long as the query.
 * AX_EFORMAT names the line; AX_ENOMEM. */
ax_status ax_query_read(struct ax_query **out, const char *text, size_t n,
                        struct ax_err *err) AX_MUST_CHECK;
void ax_query_free(struct ax_query *q); /* NULL is harmless */

/* Network i has this name; NULL: there are no more. *same is the number of
 * an earlier one that it was declared equal to, or -1. */
const char *ax_query_network(const struct ax_query *q, uint32_t i, int *same);

/* The property, and the network that it is of: models[i] is network i. *out
 * is NULL if it is models[0] as it is; otherwise it takes one vector, all
 * inputs in a row, those that the query says to be equal once; if it says
 * that an input of one network is not less than one of another, their
 * difference is an input of its own. It gives hidden values and outputs as
 * they were declared, and borrows the tensors of the models. *text [n + 1]
 * is the caller's; in it comments say which variable is which.
 * AX_ESHAPE: a declared shape is not the model's, beside dimensions of 1;
 * AX_EFORMAT: no such name; AX_EUNSUPPORTED; AX_ENOMEM. */
ax_status ax_query_bind(struct ax_model **out, char **text, size_t *n,
                        const struct ax_query *q,
                        const struct ax_model *const *models,
                        struct ax_err *err) AX_MUST_CHECK;

AX_END_API

#endif
