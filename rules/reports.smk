# What is made of the zoo as a whole.


# Every checkpoint in the zoo, usable or not.
rule discover:
    input:
        unless_emptied,
    output:
        report(f"{reports}/zoo.csv", caption="../captions/zoo.rst", category="Tables", labels={"table": "checkpoints"}),
    log:
        f"{reports}/discover.log",
    localrule: True
    params:
        state=state,
        kept=run.state_file,
        seen=run.seen,
        code=run.code("discover"),
    shell:
        plain("discover --state {params.state} --keep {params.kept:q} {output:q} > {log:q} 2>&1")


# Fails, and is asked for where that is so: a directory of the zoo is empty in which the last run found models. What it
# names as output is never made, so that each run asks again, and what discover and others made stays.
rule refuse_emptied:
    output:
        f"{reports}/.emptied",
    log:
        f"{reports}/discover.log",
    localrule: True
    params:
        state=state,
        kept=run.state_file,
    shell:
        plain("discover --state {params.state} --keep {params.kept:q} {output:q} > {log:q} 2>&1")


# One row for each model, once all that is made of the models is there.
rule summarize:
    input:
        unless_emptied,
        run.for_all(f"{of_model}/import.json", f"{frozen}/{{model}}/provenance.json", f"{of_model}/verify.json"),
        run.for_all(f"{of_model}/findings.csv", f"{of_model}/list_ops.json"),
        run.for_exports(f"{frozen}/{{model}}/export_{{format}}.json", f"{of_model}/judged_{{format}}.json"),
    output:
        summary=report(
            f"{reports}/summary.csv", caption="../captions/summary.rst", category="Tables", labels={"table": "models"}
        ),
        timings=report(
            f"{reports}/timings.csv",
            caption="../captions/timings.rst",
            category="Tables",
            labels={"table": "time and memory"},
        ),
        op_types=report(
            f"{reports}/op_types.csv",
            caption="../captions/op_types.rst",
            category="Tables",
            labels={"table": "op types"},
        ),
        findings=report(
            f"{reports}/findings.csv",
            caption="../captions/findings.rst",
            category="Tables",
            labels={"table": "findings"},
        ),
    log:
        f"{reports}/summarize.log",
    localrule: True
    params:
        state=state,
        frozen=lambda wildcards: frozen,
        reports=lambda wildcards, output: os.path.dirname(output[0]),
        zoo=run.zoo,
        code=run.code("summarize"),
    shell:
        plain(
            "summarize --state {params.state} --frozen {params.frozen:q} --reports {params.reports:q}"
            " --summary {output.summary:q} --timings {output.timings:q} --op-types {output.op_types:q}"
            " --findings {output.findings:q} > {log:q} 2>&1"
        )


# What each model is, for who uses it: a card beside each frozen graph, and a page that leads to them.
rule cards:
    input:
        f"{reports}/summary.csv",
    output:
        report(f"{reports}/cards.md", caption="../captions/cards.rst", category="Page", labels={"page": "cards"}),
    log:
        f"{reports}/cards.log",
    localrule: True
    params:
        state=state,
        frozen=lambda wildcards: frozen,
        reports=lambda wildcards, output: os.path.dirname(output[0]),
        zoo=run.zoo,
        code=run.code("cards"),
    shell:
        plain(
            "cards --state {params.state} --frozen {params.frozen:q} --reports {params.reports:q} {output:q}"
            " > {log:q} 2>&1"
        )


# What is other than in the last finished run, whose summary the gate has kept.
rule changes:
    input:
        f"{reports}/summary.csv",
    output:
        report(
            f"{reports}/changes.csv", caption="../captions/changes.rst", category="Tables", labels={"table": "changes"}
        ),
    log:
        f"{reports}/changes.log",
    localrule: True
    params:
        kept=last_summary,
        code=run.code("changes"),
    shell:
        plain("changes --kept {params.kept:q} {input:q} {output:q} > {log:q} 2>&1")


# All of it for people: one page that opens from the disk, and a summary of it on one sheet.
rule page:
    input:
        f"{reports}/summary.csv",
        f"{reports}/timings.csv",
        f"{reports}/op_types.csv",
        f"{reports}/findings.csv",
        f"{reports}/changes.csv",
        f"{reports}/exports.csv",
        run.for_steps(f"{of_model}/steps.csv"),
    output:
        page=report(
            f"{reports}/index.html", caption="../captions/index.rst", category="Page", labels={"page": "all of it"}
        ),
        brief=report(
            f"{reports}/summary.md", caption="../captions/brief.rst", category="Page", labels={"page": "on one sheet"}
        ),
    log:
        f"{reports}/page.log",
    localrule: True
    params:
        state=state,
        frozen=lambda wildcards: frozen,
        reports=lambda wildcards, output: os.path.dirname(output[0]),
        zoos=run.zoos,
        started=run.started,
        judged=run.judged_stamp,
        code=run.code("page"),
    shell:
        plain(
            "page --state {params.state} --frozen {params.frozen:q} --reports {params.reports:q}"
            " --page {output.page:q} --brief {output.brief:q} -- {params.zoos:q} > {log:q} 2>&1"
        )


# Succeeds only where every model is as it is expected to be. It comes last, so that its table ends the run.
rule gate:
    input:
        summary=f"{reports}/summary.csv",
        exports=f"{reports}/exports.csv",
        page=f"{reports}/index.html",
        cards=f"{reports}/cards.md",
    output:
        f"{reports}/gate.txt",
    log:
        f"{reports}/gate.log",
    localrule: True
    params:
        verbosity="--quiet" if quiet else "",
        on_failure=run.config["on_failure"],
        kept=last_summary,
        history=f"{reports}/history.csv",
        run=run_file,
        one="--one" if run.one else "",
        frozen=lambda wildcards: frozen,
        code=run.code("gate"),
    shell:
        plain(
            "gate {params.verbosity} --on-failure {params.on_failure} --keep {params.kept:q} {params.one}"
            " --history {params.history:q} --run {params.run:q}"
            " --frozen {params.frozen:q} --page {input.page:q} --exports {input.exports:q} {input.summary:q} {output:q}"
            + f" {into_log}"
        )
