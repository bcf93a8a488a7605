# What nobody gets without asking for it: found settings, other tools' frozen graphs judged, and a clean-up.


# What was found of each model as a config file: its outputs and inputs, and what else could be chosen. The file that is
# edited, settings.yaml, is no output, since Snakemake deletes those before it makes them anew.
rule settings:
    input:
        run.for_all(f"{of_model}/import.json"),
    output:
        f"{reports}/settings.found.yaml",
    log:
        f"{reports}/settings.log",
    localrule: True
    params:
        state=state,
        config=whole_config,
        reports=lambda wildcards, output: os.path.dirname(output[0]),
        yours=f"{reports}/settings.yaml",
        command=launch.command(home, f"{reports}/settings.yaml"),
        edited=run.stamp(f"{reports}/settings.yaml"),
        zoo=run.zoo,
        said=run.said,
        code=run.code("settings"),
    shell:
        plain(
            "settings --state {params.state} --config {params.config} --reports {params.reports:q}"
            " --yours {params.yours:q} --command {params.command:q} {output:q}" + f" {into_log}"
        )


# A frozen graph that another tool made of the checkpoint, as the model's settings name it under `judge`.
rule judge_file:
    output:
        record=f"{of_model}/judged.json",
        table=f"{of_model}/judged.csv",
    log:
        f"{of_model}/judge.log",
    wildcard_constraints:
        model=".+",
    priority: run.priority
    group:
        group_of
    resources:
        mem_mb=run.mem_mb,
        runtime=run.runtime("judge"),
    params:
        source=run.source,
        settings=run.settings("judge"),
        code=run.code("judge"),
        attempt=run.attempt("judge"),
    shell:
        warm(
            "judge --model {wildcards.model:q} --attempt={params.attempt} --source {params.source:q} --settings {params.settings:q}"
            " {output.record:q} {output.table:q} > {log:q} 2>&1"
        )


rule list_judged:
    input:
        lambda wildcards: run.judged(f"{of_model}/judged.json"),
    output:
        f"{reports}/judged.csv",
    log:
        f"{reports}/list_judged.log",
    localrule: True
    params:
        state=state,
        reports=lambda wildcards, output: os.path.dirname(output[0]),
        zoo=run.zoo,
        code=run.code("list_judged"),
    shell:
        plain("list_judged --state {params.state} --reports {params.reports:q} {output:q} > {log:q} 2>&1")


# Succeeds only where every frozen graph that the settings name under `judge` is as it is expected to be.
rule judge:
    input:
        f"{reports}/judged.csv",
    output:
        f"{reports}/judged.txt",
    log:
        f"{reports}/judged.log",
    localrule: True
    params:
        verbosity="--quiet" if quiet else "",
        on_failure=run.config["on_failure"],
    shell:
        plain("gate {params.verbosity} --on-failure {params.on_failure} {input:q} {output:q}" + f" {into_log}")


# Deletes what was made of models that the zoo no longer has, and exports that no settings ask for any more.
rule prune:
    log:
        ".snakemake/log/prune.log",
    localrule: True
    params:
        directories=run.stale,
        files=run.unasked,
    shell:
        plain("delete {params.directories:q} --files {params.files:q}" + f" {into_log}")


# Deletes all that was made.
rule clean:
    log:
        ".snakemake/log/clean.log",
    localrule: True
    params:
        directories=[frozen, reports],
    shell:
        plain("delete --recursive {params.directories:q}" + f" {into_log}")
