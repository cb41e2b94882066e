/* lib/ax/graph.h: the operator table, and graphs that must be refused. */
#include <stdlib.h>
#include <string.h>

#include "ax/graph.h"
#include "tap.h"

static void operators_are_sorted(void)
{
    for (int op = 1; op < AX_OP_COUNT; op++) {
        if (op > 1 &&
            strcmp(ax_op_name((ax_op)(op - 1)), ax_op_name((ax_op)op)) >= 0)
            OK(!"ax/op.def is sorted by name");
        if (ax_op_by_name(ax_op_name((ax_op)op)) != (ax_op)op)
            OK(!"an operator is found by its name");
    }
    OK(ax_op_by_name("Conv") == AX_OP_Conv);
    OK(ax_op_by_name("conv") == AX_OP_NONE);
    OK(ax_op_by_name("") == AX_OP_NONE);
    OK(strcmp(ax_op_name(AX_OP_NONE), "?") == 0);
    OK(strcmp(ax_op_name((ax_op)9999), "?") == 0);
}

/* y = Relu(x + w), on the stack. */
struct sample {
    char x[2], w[2], s[2], y[2], none[1];
    struct ax_value values[4];
    uint32_t in0[2], out0[1], in1[1], out1[1], input[1], output[1];
    struct ax_node nodes[2];
    struct ax_attr attrs[2];
    struct ax_graph g;
};

static struct ax_graph *sample(struct sample *s)
{
    memset(s, 0, sizeof *s);
    char *names[] = {s->x, s->w, s->s, s->y};
    for (int i = 0; i < 4; i++) {
        names[i][0] = "xwsy"[i];
        s->values[i] = (struct ax_value){.name = names[i],
                                         .dtype = AX_F32,
                                         .rank = 1,
                                         .dims = {3},
                                         .tensor = i == 1 ? 0 : AX_NONE};
    }
    s->in0[0] = 0, s->in0[1] = 1, s->out0[0] = 2;
    s->in1[0] = 2, s->out1[0] = 3;
    s->nodes[0] = (struct ax_node){.op = AX_OP_Add,
                                   .name = s->none,
                                   .n_in = 2,
                                   .n_out = 1,
                                   .in = s->in0,
                                   .out = s->out0};
    s->nodes[1] = (struct ax_node){.op = AX_OP_Relu,
                                   .name = s->none,
                                   .n_in = 1,
                                   .n_out = 1,
                                   .in = s->in1,
                                   .out = s->out1};
    s->input[0] = 0, s->output[0] = 3;
    s->g = (struct ax_graph){.name = s->none,
                             .n_values = 4,
                             .n_nodes = 2,
                             .n_inputs = 1,
                             .n_outputs = 1,
                             .values = s->values,
                             .nodes = s->nodes,
                             .inputs = s->input,
                             .outputs = s->output};
    return &s->g;
}

/* The graph is refused with these words. */
static bool refused(const struct ax_graph *g, const char *words)
{
    struct ax_err err = {0};

    if (ax_graph_check(g, 1, &err) != AX_EFORMAT)
        return false;
    if (strstr(err.msg, words))
        return true;
    printf("# %s\n", err.msg);
    return false;
}

static void good_graphs_pass(void)
{
    struct sample s;
    struct ax_err err = {0};

    OK(ax_graph_check(sample(&s), 1, &err) == AX_OK);
}

static void bad_graphs_are_refused(void)
{
    struct sample s;
    struct ax_graph *g = sample(&s);
    char a[] = "a", b[] = "b";

    s.in0[0] = 4;
    OK(refused(g, "node 0 (Add ''): there is no value 4 of 4"));
    sample(&s), s.in0[0] = 3;
    OK(refused(g, "value 'y' is used before it is made"));
    sample(&s), s.in0[0] = AX_NONE;
    OK(refused(g, "input 0 is absent"));
    sample(&s), s.nodes[0].n_in = 1;
    OK(refused(g, "has 1 inputs, wants 2 to 2"));
    sample(&s), s.nodes[1].n_out = 0;
    OK(refused(g, "has 0 outputs, wants 1 to 1"));
    sample(&s), s.out1[0] = 2;
    OK(refused(g, "value 's' is made twice"));
    sample(&s), s.out1[0] = 1;
    OK(refused(g, "value 'w' is made twice"));
    sample(&s), s.input[0] = 1;
    OK(refused(g, "input 0: value 'w' is made twice"));
    sample(&s), s.output[0] = 9;
    OK(refused(g, "output 0: there is no value 9"));
    sample(&s), s.values[1].tensor = 1;
    OK(refused(g, "value 'w' is tensor 1, there are 1"));
    sample(&s), s.y[0] = 'x';
    OK(refused(g, "two values are called 'x'"));
    sample(&s), s.y[0] = '\0';
    OK(refused(g, "value 3 has no name"));
    sample(&s), s.values[0].rank = 9;
    OK(refused(g, "has 9 dimensions"));
    sample(&s), s.values[0].dims[0] = -2;
    OK(refused(g, "dimension 0 is -2"));
    sample(&s), s.values[0].dtype = (ax_dtype)14;
    OK(refused(g, "no element type has number 14"));
    sample(&s), s.values[0].dim_names[0] = a;
    OK(refused(g, "but is not free"));
    sample(&s), s.nodes[0].op = AX_OP_COUNT;
    OK(refused(g, "there is no operator"));
    sample(&s), s.nodes[1].n_attrs = 2, s.nodes[1].attrs = s.attrs;
    s.attrs[0] = (struct ax_attr){.name = b, .kind = AX_ATTR_INT};
    s.attrs[1] = (struct ax_attr){.name = a, .kind = AX_ATTR_INT};
    OK(refused(g, "attribute 'a' stands after 'b'"));
    s.attrs[1].name = b;
    OK(refused(g, "attribute 'b' stands after 'b'"));
    s.attrs[0].name = a, s.attrs[1].kind = (ax_attr_kind)8;
    OK(refused(g, "attribute 'b' is of an unknown kind, 8"));
    s.attrs[1].kind = AX_ATTR_GRAPH;
    OK(refused(g, "attribute 'b' has no value"));
}

/* A sub-graph, as an attribute of s's second node, that gives what is
 * called NAME around it. */
static void nest(struct sample *s, struct sample *inner, char *name)
{
    sample(inner);
    inner->g.n_inputs = inner->g.n_nodes = 0;
    inner->values[0].name = name;
    inner->g.n_values = 1;
    inner->output[0] = 0;
    s->attrs[0] = (struct ax_attr){
        .name = s->x, .kind = AX_ATTR_GRAPH, .graph = &inner->g};
    s->nodes[1].n_attrs = 1, s->nodes[1].attrs = s->attrs;
}

static void subgraphs_see_what_is_around_them(void)
{
    struct sample s, inner;
    struct ax_graph *g = sample(&s);
    struct ax_err err = {0};
    char sum[] = "s", y[] = "y", z[] = "z";

    nest(&s, &inner, sum);
    OK(ax_graph_check(g, 1, &err) == AX_OK);
    nest(&s, &inner, y); /* made by the node itself, so not yet there */
    OK(refused(g, "attribute 'x': output 0: value 'y' is used before"));
    nest(&s, &inner, z);
    OK(refused(g, "value 'z' is used before it is made"));
}

static void nesting_has_a_budget(void)
{
    static struct sample s[AX_DEPTH_MAX + 1];
    struct ax_err err = {0};

    for (int i = 0; i <= AX_DEPTH_MAX; i++) {
        sample(&s[i]);
        if (i) {
            s[i - 1].attrs[0] = (struct ax_attr){
                .name = s[i - 1].x, .kind = AX_ATTR_GRAPH, .graph = &s[i].g};
            s[i - 1].nodes[1].n_attrs = 1;
            s[i - 1].nodes[1].attrs = s[i - 1].attrs;
        }
    }
    OK(refused(&s[0].g, "nested more than 64 deep"));
    OK(ax_graph_check(&s[1].g, 1, &err) == AX_OK);
}

static void attributes_have_defaults(void)
{
    char a[] = "axis", m[] = "mode", v[] = "linear";
    struct ax_attr attrs[] = {{.name = a, .kind = AX_ATTR_INT, .i = -1},
                              {.name = m, .kind = AX_ATTR_STRING, .s = v}};
    struct ax_node n = {.n_attrs = 2, .attrs = attrs};

    OK(ax_node_int(&n, "axis", 7) == -1);
    OK(ax_node_int(&n, "axes", 7) == 7);
    OK(ax_node_int(&n, "mode", 7) == 7);
    OK(strcmp(ax_node_string(&n, "mode", "x"), "linear") == 0);
    OK(ax_node_string(&n, "none", NULL) == NULL);
    OK(ax_node_float(&n, "alpha", 0.5f) == 0.5f);
    OK(ax_node_attr(&n, "axis") == &attrs[0]);
    OK(ax_node_attr(&n, "none") == NULL);
}

int main(void)
{
    operators_are_sorted();
    good_graphs_pass();
    bad_graphs_are_refused();
    subgraphs_see_what_is_around_them();
    nesting_has_a_budget();
    attributes_have_defaults();
    ax_graph_free(NULL);
    return tap_done();
}
