# Permafrost: freeze every checkpoint of a TensorFlow 1 model zoo, and prove that each frozen graph is the same.
#
#   zoo ─ discover ─ import_meta ─ freeze ─┬─ verify ───┬─ summarize ─ changes ─ page ─ gate
#                                          └─ list_ops ─┘

import compileall, gc, os, shlex, subprocess, sys
from snakemake.settings.types import Quietness

sys.path.insert(0, f"{workflow.basedir}/scripts")
quiet = Quietness.ALL in (workflow.output_settings.quiet or ())
if workflow.is_main_process:
    from permafrost.failures import Failures

    logger.addHandler(Failures(quiet))  # First, so that what cannot be imported is said too.
from permafrost import progress
from permafrost.contract import Problem
from permafrost.pipeline import Pipeline
from permafrost.scheduling import go_by_no_clock, stay_linear

# The jobs of a large zoo are millions of objects that live until the end; to look through them for garbage, as often as
# Python does by itself, takes a tenth of the time in which they are made.
gc.set_threshold(100_000, 50, 1000)


configfile: f"{workflow.basedir}/config.yaml"


dry = workflow.output_settings.dryrun
try:
    run = Pipeline(config, workflow.is_main_process, dry)
except Problem as problem:
    raise WorkflowError(f"{problem.message} ({problem.hint})") from None
if workflow.is_main_process:
    # Each stage is a new process; Python may have been told not to keep what it compiles.
    compileall.compile_dir(f"{workflow.basedir}/scripts", quiet=2)
if workflow.is_main_process and not quiet:
    run.announce()
    if not dry:
        progress.follow(logger, run.reports, run.expected)
go_by_no_clock()
# Stages that need TensorFlow run in children of one process that has it loaded, and that ends with this one. On a
# cluster that is the Snakemake process of the node's job. Where that worker runs, the other stages start sooner in it.
os.environ["PERMAFROST_RUN"] = os.environ["PERMAFROST_RUN_PID"] = str(os.getpid())
client = [sys.executable, "-I", "-S", f"{workflow.basedir}/scripts/warm.py"]
warm = shlex.join(client)
python = f"{warm} --if-running"
if run.changed and workflow.resource_settings.nodes is None:
    # There will be models to make, most likely, and not on a cluster: TensorFlow is loaded while the jobs are planned.
    # Where that fails, the first job says why.
    subprocess.Popen([*client, "--start"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
verbosity = "--quiet" if quiet else ""
frozen, reports = run.frozen, run.reports
of_model = f"{reports}/models/{{model}}"
last_summary = f"{reports}/.last_summary.csv"


onstart:
    stay_linear(workflow)


wildcard_constraints:
    model=".+",


# On a cluster the stages of many models go to a node as one group. Snakemake does not tell the node's process how many,
# and it would take the models apart again: each in a new process, one after the other.
def whole_group(wildcards):
    workflow.group_settings.group_components = {"models": sys.maxsize}
    return "models"


models = "models" if workflow.is_main_process else whole_group


# On a cluster these run where Snakemake was called; the stages of the models go to the nodes.
localrules:
    all,
    discover,
    summarize,
    changes,
    page,
    gate,
    settings,
    list_judged,
    judge,
    prune,
    clean,


# All that is made of each model is named, since Snakemake does not miss a file between two others.
rule all:
    input:
        [f"{reports}/{name}.csv" for name in ("zoo", "summary", "timings", "op_types", "findings", "changes")],
        f"{reports}/index.html",
        f"{reports}/gate.txt",
        run.for_all(f"{frozen}/{{model}}/provenance.json"),
        run.for_all(f"{of_model}/import.json", f"{of_model}/outputs.csv"),
        run.for_all(f"{of_model}/verify.json", f"{of_model}/verification.csv"),
        run.for_all(f"{of_model}/ops.csv", f"{of_model}/frozen_ops.csv"),
        run.for_all(f"{of_model}/variables.csv", f"{of_model}/findings.csv", f"{of_model}/graph.svg"),
        run.for_all(f"{of_model}/list_ops.json"),


# `snakemake frozen/<model>` freezes and verifies that model.
for target, model in run.model_targets(sys.argv[1:]).items():

    rule:
        name:
            target
        input:
            f"{frozen}/{model}/provenance.json",
            f"{reports}/models/{model}/verify.json",


# Every checkpoint in the zoo, usable or not.
rule discover:
    output:
        report(f"{reports}/zoo.csv", caption="captions/zoo.rst", category="Tables", labels={"table": "checkpoints"}),
    log:
        f"{reports}/discover.log",
    params:
        state=run.state_file,
        zoo=run.zoo,
        code=run.code("discover"),
    shell:
        "{python} discover --state {params.state:q} {output:q} > {log:q} 2>&1"


# Variables and their checkpoint keys, outputs, inputs. The checkpoint's files are no inputs of any rule: what they are is
# in `source`, by content, and neither their times and names nor their end is to stop the jobs of other models.
rule import_meta:
    output:
        record=f"{of_model}/import.json",
        ranking=f"{of_model}/outputs.csv",
    log:
        f"{of_model}/import_meta.log",
    group:
        models
    params:
        source=run.source,
        settings=run.settings("import_meta"),
        code=run.code("import_meta"),
    shell:
        "{warm} import_meta --model {wildcards.model:q} --source {params.source:q} --settings {params.settings:q}"
        " {output.record:q} {output.ranking:q} > {log:q} 2>&1"


# frozen_graph.pb, beside its provenance, where the model could be frozen.
rule freeze:
    input:
        f"{of_model}/import.json",
    output:
        f"{frozen}/{{model}}/provenance.json",
    log:
        f"{of_model}/freeze.log",
    group:
        models
    params:
        options=run.settings("freeze"),
        code=run.code("freeze"),
    shell:
        "{warm} freeze --model {wildcards.model:q} --import-record {input:q} --options {params.options:q}"
        " {output:q} > {log:q} 2>&1"


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
    group:
        models
    params:
        settings=run.settings("verify"),
        code=run.code("verify"),
    shell:
        "{warm} verify --model {wildcards.model:q} --import-record {input.imported:q}"
        " --provenance {input.provenance:q} --settings {params.settings:q} {output.record:q} {output.table:q}"
        " > {log:q} 2>&1"


# The ops before and after, the variables, what a careful colleague would warn about, and a picture.
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
    group:
        models
    params:
        frozen_graph=f"{frozen}/{{model}}/frozen_graph.pb",
        settings=run.settings("list_ops"),
        code=run.code("list_ops"),
    shell:
        "{warm} list_ops --model {wildcards.model:q} --import-record {input.imported:q}"
        " --provenance {input.provenance:q} --frozen-graph {params.frozen_graph:q} --settings {params.settings:q}"
        " --ops {output.ops:q} --frozen-ops {output.frozen_ops:q} --variables {output.variables:q}"
        " --findings {output.findings:q} --graph {output.graph:q} --record {output.record:q} > {log:q} 2>&1"


# One row for each model, once all that is made of the models is there.
rule summarize:
    input:
        run.for_all(f"{of_model}/import.json", f"{frozen}/{{model}}/provenance.json", f"{of_model}/verify.json"),
        run.for_all(f"{of_model}/findings.csv", f"{of_model}/list_ops.json"),
    output:
        summary=report(
            f"{reports}/summary.csv", caption="captions/summary.rst", category="Tables", labels={"table": "models"}
        ),
        timings=report(
            f"{reports}/timings.csv",
            caption="captions/timings.rst",
            category="Tables",
            labels={"table": "time and memory"},
        ),
        op_types=report(
            f"{reports}/op_types.csv", caption="captions/op_types.rst", category="Tables", labels={"table": "op types"}
        ),
        findings=report(
            f"{reports}/findings.csv", caption="captions/findings.rst", category="Tables", labels={"table": "findings"}
        ),
    log:
        f"{reports}/summarize.log",
    params:
        state=run.state_file,
        frozen=frozen,
        reports=reports,
        zoo=run.zoo,
        code=run.code("summarize"),
    shell:
        "{python} summarize --state {params.state:q} --frozen {params.frozen:q} --reports {params.reports:q}"
        " --summary {output.summary:q} --timings {output.timings:q} --op-types {output.op_types:q}"
        " --findings {output.findings:q} > {log:q} 2>&1"


# What is other than in the last finished run, whose summary the gate has kept.
rule changes:
    input:
        f"{reports}/summary.csv",
    output:
        report(f"{reports}/changes.csv", caption="captions/changes.rst", category="Tables", labels={"table": "changes"}),
    log:
        f"{reports}/changes.log",
    params:
        kept=last_summary,
        code=run.code("changes"),
    shell:
        "{python} changes --kept {params.kept:q} {input:q} {output:q} > {log:q} 2>&1"


# All of it for people: one page that opens from the disk.
rule page:
    input:
        f"{reports}/summary.csv",
        f"{reports}/timings.csv",
        f"{reports}/op_types.csv",
        f"{reports}/findings.csv",
        f"{reports}/changes.csv",
    output:
        report(f"{reports}/index.html", caption="captions/index.rst", category="Page", labels={"page": "all of it"}),
    log:
        f"{reports}/page.log",
    params:
        frozen=frozen,
        reports=reports,
        zoos=run.zoos,
        zoo_settings=run.zoo_settings,
        code=run.code("page"),
    shell:
        "{python} page --frozen {params.frozen:q} --reports {params.reports:q} --page {output:q} {params.zoo_settings}"
        " -- {params.zoos:q} > {log:q} 2>&1"


# Succeeds only where every model is as it is expected to be. It comes last, so that its table ends the run.
rule gate:
    input:
        summary=f"{reports}/summary.csv",
        page=f"{reports}/index.html",
    output:
        f"{reports}/gate.txt",
    params:
        on_failure=run.config["on_failure"],
        kept=last_summary,
        code=run.code("gate"),
    shell:
        "{python} gate {verbosity} --on-failure {params.on_failure} --keep {params.kept:q}"
        " {input.summary:q} {output:q}"


# What was found of each model as a config file: its outputs and inputs, and what else could be chosen.
rule settings:
    input:
        run.for_all(f"{of_model}/import.json"),
    output:
        f"{reports}/settings.yaml",
    log:
        f"{reports}/settings.log",
    params:
        state=run.state_file,
        reports=reports,
        zoo=run.zoo,
        code=run.code("settings"),
    shell:
        "{python} settings --state {params.state:q} --reports {params.reports:q} {output:q} > {log:q} 2>&1"


# A frozen graph that another tool made of the checkpoint, as the model's settings name it under `judge`.
rule judge_file:
    output:
        record=f"{of_model}/judged.json",
        table=f"{of_model}/judged.csv",
    log:
        f"{of_model}/judge.log",
    group:
        models
    params:
        source=run.source,
        settings=run.settings("judge"),
        code=run.code("judge"),
    shell:
        "{warm} judge --model {wildcards.model:q} --source {params.source:q} --settings {params.settings:q}"
        " {output.record:q} {output.table:q} > {log:q} 2>&1"


rule list_judged:
    input:
        lambda wildcards: run.judged(f"{of_model}/judged.json"),
    output:
        f"{reports}/judged.csv",
    log:
        f"{reports}/list_judged.log",
    params:
        state=run.state_file,
        reports=reports,
        zoo=run.zoo,
        code=run.code("list_judged"),
    shell:
        "{python} list_judged --state {params.state:q} --reports {params.reports:q} {output:q} > {log:q} 2>&1"


# Succeeds only where every frozen graph that the settings name under `judge` is as it is expected to be.
rule judge:
    input:
        f"{reports}/judged.csv",
    output:
        f"{reports}/judged.txt",
    params:
        on_failure=run.config["on_failure"],
    shell:
        "{python} gate {verbosity} --on-failure {params.on_failure} {input:q} {output:q}"


# Deletes what was made of models that the zoo no longer has.
rule prune:
    params:
        directories=run.stale,
    shell:
        "{python} delete {params.directories:q}"


# Deletes all that was made.
rule clean:
    params:
        directories=[frozen, reports],
    shell:
        "{python} delete --recursive {params.directories:q}"
