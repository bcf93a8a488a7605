# What is asked for by name on the command line.


plain_names = [rule.name for rule in workflow.rules if not rule.has_wildcards()]
rule_names = {rule.name for rule in workflow.rules}
named = targets.of_models(sys.argv[1:], run.models, frozen, rule_names) if is_main else {}
try:
    targets.refuse_forced(sys.argv[1:], named)
except Problem as problem:
    raise WorkflowError(f"{problem.message} ({problem.hint})") from None


# `snakemake <model>`, or `snakemake frozen/<model>` where a rule has that name, freezes and verifies that model, and
# exports it where its settings ask for that.
for target, model in named.items():

    rule:
        name:
            target
        input:
            f"{frozen}/{model}/provenance.json",
            f"{reports}/models/{model}/verify.json",
            run.exports_of(model, f"{of_model}/judged_{{format}}.json"),
        localrule: True


if leads:
    failures.correct = lambda text: targets.correction(text, [*run.models, *plain_names])
    closing.page = f"{reports}/index.html"
if leads and workflow.output_settings.dryrun:
    pruned = lambda: deletion.made(run.stale, recursive=False) + run.unasked
    cleaned = lambda: deletion.made([frozen, reports], recursive=True)
    logger.addHandler(planned.Planned({"prune": pruned, "clean": cleaned}))
if leads and not quiet:
    for sentence in announcing.warnings(run):
        screen.say(sentence)
    logger.addHandler(progress.Progress(screen, run.reports, run.expected, named.values()))
