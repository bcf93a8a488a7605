# What is made of each model: from its checkpoint to the judge's verdict and the lists for people.


group_of = scheduling.grouping(workflow, run.group)


# Variables and their checkpoint keys, outputs, inputs. The checkpoint's files are no inputs of any rule: what they are is
# in `source`, by content, and neither their times and names nor their end is to stop the jobs of other models.
rule import_meta:
    output:
        record=f"{of_model}/import.json",
        ranking=f"{of_model}/outputs.csv",
    log:
        f"{of_model}/import_meta.log",
    wildcard_constraints:
        model=".+",
    priority: run.priority
    group:
        group_of
    resources:
        mem_mb=run.mem_mb,
        runtime=run.runtime("import_meta"),
    params:
        source=run.source,
        settings=run.settings("import_meta"),
        code=run.code("import_meta"),
        attempt=run.attempt("import_meta"),
    shell:
        warm(
            "import_meta --model {wildcards.model:q} --attempt={params.attempt} --source {params.source:q} --settings {params.settings:q}"
            " {output.record:q} {output.ranking:q} > {log:q} 2>&1"
        )


# frozen_graph.pb, beside its provenance, where the model could be frozen.
rule freeze:
    input:
        f"{of_model}/import.json",
    output:
        f"{frozen}/{{model}}/provenance.json",
    log:
        f"{of_model}/freeze.log",
    wildcard_constraints:
        model=".+",
    priority: run.priority
    group:
        group_of
    resources:
        mem_mb=run.mem_mb,
        runtime=run.runtime("freeze"),
    params:
        options=run.settings("freeze"),
        code=run.code("freeze"),
        attempt=run.attempt("freeze"),
    shell:
        warm(
            "freeze --model {wildcards.model:q} --attempt={params.attempt} --import-record {input:q} --options {params.options:q}"
            " {output:q} > {log:q} 2>&1"
        )


# TensorFlow's word on whether the frozen graph computes what the checkpoint computes.
rule verify:
    input:
        imported=f"{of_model}/import.json",
        provenance=f"{frozen}/{{model}}/provenance.json",
    output:
        record=f"{of_model}/verify.json",
        table=f"{of_model}/verification.csv",
    log:
        f"{of_model}/verify.log",
    wildcard_constraints:
        model=".+",
    priority: run.priority
    group:
        group_of
    resources:
        mem_mb=run.mem_mb,
        runtime=run.runtime("verify"),
    params:
        settings=run.settings("verify"),
        code=run.code("verify"),
        attempt=run.attempt("verify"),
    shell:
        warm(
            "verify --model {wildcards.model:q} --attempt={params.attempt} --import-record {input.imported:q}"
            " --provenance {input.provenance:q} --settings {params.settings:q} {output.record:q} {output.table:q}"
            " > {log:q} 2>&1"
        )


# The ops before and after, the variables, what a careful colleague would warn about, and a picture. No other job waits
# for these, so they fill the cores when the last models are judged.
rule list_ops:
    input:
        imported=f"{of_model}/import.json",
        provenance=f"{frozen}/{{model}}/provenance.json",
    output:
        ops=f"{of_model}/ops.csv",
        frozen_ops=f"{of_model}/frozen_ops.csv",
        variables=f"{of_model}/variables.csv",
        findings=f"{of_model}/findings.csv",
        graph=f"{of_model}/graph.svg",
        record=f"{of_model}/list_ops.json",
    log:
        f"{of_model}/list_ops.log",
    wildcard_constraints:
        model=".+",
    group:
        group_of
    resources:
        mem_mb=run.mem_mb,
        runtime=run.runtime("list_ops"),
    params:
        frozen_graph=f"{frozen}/{{model}}/frozen_graph.pb",
        settings=run.settings("list_ops"),
        code=run.code("list_ops"),
        attempt=run.attempt("list_ops"),
    shell:
        warm(
            "list_ops --model {wildcards.model:q} --attempt={params.attempt} --import-record {input.imported:q}"
            " --provenance {input.provenance:q} --frozen-graph {params.frozen_graph:q} --settings {params.settings:q}"
            " --ops {output.ops:q} --frozen-ops {output.frozen_ops:q} --variables {output.variables:q}"
            " --findings {output.findings:q} --graph {output.graph:q} --record {output.record:q} > {log:q} 2>&1"
        )


# Which weights changed since the step before, of models that are steps of one series.
rule compare_steps:
    input:
        imported=f"{of_model}/import.json",
        provenance=f"{frozen}/{{model}}/provenance.json",
        before=lambda wildcards: f"{reports}/models/{run.step_before[wildcards.model]}/import.json",
    output:
        f"{of_model}/steps.csv",
    log:
        f"{of_model}/compare_steps.log",
    wildcard_constraints:
        model=".+",
    group:
        group_of
    resources:
        mem_mb=run.mem_mb,
        runtime=run.runtime("list_ops"),
    params:
        sources=run.step_sources,
        code=run.code("compare_steps"),
    shell:
        plain(
            "compare_steps --before {input.before:q} --import-record {input.imported:q} --provenance {input.provenance:q}"
            " --sources {params.sources:q} {output:q} > {log:q} 2>&1"
        )
