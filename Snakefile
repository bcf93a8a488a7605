# Permafrost: freeze every checkpoint of a TensorFlow 1 model zoo, and prove that each frozen graph is the same.
#
#   zoo ─ discover ─ import_meta ─ freeze ─┬─ verify ─ (export_... ─ judge_export) ─┬─ summarize ─ cards, changes ─ page ─ gate
#                                          └─ list_ops ─────────────────────────────┘
#
# To parse it writes nothing and starts nothing; it can be a module of another workflow (see docs/running.md).
# No rule names a conda environment or a container, as `snakemake --lint` would have it: what the stages need is pinned in
# requirements.txt, and all of them run in the Python that runs Snakemake.

import gc, os, sys
from snakemake.settings.types import Quietness
from snakemake.utils import min_version

min_version("9.27.1")

home = os.fspath(workflow.current_basedir)
is_main = workflow.modifier.is_main_snakefile()
leads = is_main and workflow.is_main_process
quiet = Quietness.ALL in (workflow.output_settings.quiet or ())
if not os.path.isdir(f"{home}/scripts/permafrost"):
    raise WorkflowError(f"{home} is no directory of Permafrost; name the Snakefile of a local clone as `snakefile:`")
sys.path.insert(0, f"{home}/scripts")
if leads:
    # First, so that what cannot be imported is said too.
    from permafrost.workflow.chatter import silence
    from permafrost.workflow.closing import Closing
    from permafrost.workflow.failures import Failures
    from permafrost.workflow.screen import Screen

    screen = Screen()
    failures, closing = Failures(quiet, screen.say), Closing(screen, quiet)
    silence(logger, workflow.output_settings.dryrun, screen.clear)
    logger.addHandler(failures)
    logger.addHandler(closing)
from permafrost.workflow import announcing
from permafrost.workflow import deletion
from permafrost.workflow import invocation
from permafrost.workflow import launch
from permafrost.workflow import planned
from permafrost.workflow import progress
from permafrost.workflow import scheduling
from permafrost.workflow import targets
from permafrost.outcome import Problem
from permafrost.workflow.pipeline import Pipeline

if is_main:
    # The jobs of a large zoo are millions of objects that live until the end; to look through them for garbage, as often
    # as Python does by itself, takes a tenth of the time in which they are made.
    gc.set_threshold(100_000, 50, 1000)
    scheduling.disable_output_mtime_check()

    configfile: f"{home}/config.yaml"


report: "captions/workflow.rst"


try:
    launch.prepare(home)
    if leads:
        scheduling.refuse_no_hooks(sys.argv)
    taken = vars(workflow).setdefault("permafrost_directories", [])
    run = Pipeline(
        config,
        workflow.is_main_process or not is_main,
        taken,
        invocation.started(workflow) if leads else None,
    )
except Problem as problem:
    raise WorkflowError(f"{problem.message} ({problem.hint})") from None
frozen, reports = run.frozen, run.reports
of_model = f"{reports}/models/{{model}}"
last_summary = f"{reports}/.last_summary.csv"
run_file = f"{reports}/.run.json"
state, whole_config = launch.hand_over(run)
warm, plain = launch.warm, launch.plain
# What people are to read comes at the end, from the log; a module's host prints it as it comes.
into_log = "> {log:q} 2>&1" if is_main else "2>&1 | tee {log:q}"


onstart:
    try:
        scheduling.refuse_lost_changes(workflow)
        run.begin()
    except Problem as problem:
        raise WorkflowError(f"{problem.message} ({problem.hint})") from None
    scheduling.patch_scheduler(workflow)
    if leads and not quiet:
        screen.say(announcing.introduction(run, len(list(workflow.dag.needrun_jobs()))))
    if workflow.local_exec:
        launch.start_worker(workflow.dag.needrun_jobs())


unless_emptied = [f"{reports}/.emptied"] if run.emptied else []


# All that is made of each model is named, since Snakemake does not miss a file between two others.
rule all:
    input:
        unless_emptied,
        [
            f"{reports}/{name}.csv"
            for name in ("zoo", "summary", "timings", "op_types", "findings", "changes", "exports")
        ],
        f"{reports}/index.html",
        f"{reports}/cards.md",
        f"{reports}/summary.md",
        f"{reports}/gate.txt",
        run.for_all(f"{frozen}/{{model}}/provenance.json"),
        run.for_all(f"{of_model}/import.json", f"{of_model}/outputs.csv"),
        run.for_all(f"{of_model}/verify.json", f"{of_model}/verification.csv"),
        run.for_all(f"{of_model}/ops.csv", f"{of_model}/frozen_ops.csv"),
        run.for_all(f"{of_model}/variables.csv", f"{of_model}/findings.csv", f"{of_model}/graph.svg"),
        run.for_all(f"{of_model}/list_ops.json"),
        run.for_steps(f"{of_model}/steps.csv"),
        run.for_exports(f"{frozen}/{{model}}/export_{{format}}.json"),
        run.for_exports(f"{of_model}/judged_{{format}}.json", f"{of_model}/export_{{format}}.csv"),
    localrule: True


include: "rules/models.smk"
include: "rules/exports.smk"
include: "rules/reports.smk"
include: "rules/more.smk"
include: "rules/targets.smk"
