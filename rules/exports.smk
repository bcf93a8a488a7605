# A verified frozen graph in other formats, for the models whose settings ask for it, each judged against the checkpoint.
# The files themselves lie beside frozen_graph.pb, and as that one they are no outputs of a rule: their records are.


# Its bytes as they are, with signatures: what TensorFlow Serving and tf.saved_model.load take.
rule export_saved_model:
    input:
        imported=f"{of_model}/import.json",
        provenance=f"{frozen}/{{model}}/provenance.json",
        verdict=f"{of_model}/verify.json",
    output:
        f"{frozen}/{{model}}/export_saved_model.json",
    log:
        f"{of_model}/export_saved_model.log",
    wildcard_constraints:
        model=".+",
    priority: run.priority
    group:
        group_of
    resources:
        mem_mb=run.mem_mb,
        runtime=run.runtime("export_saved_model"),
    params:
        stage="export_saved_model",
        settings=run.settings("export_saved_model"),
        code=run.code("export_saved_model"),
        attempt=run.attempt("export_saved_model"),
    shell:
        warm(
            "{params.stage} --model {wildcards.model:q} --attempt={params.attempt} --import-record {input.imported:q}"
            " --provenance {input.provenance:q} --verdict {input.verdict:q} --settings {params.settings:q}"
            " {output:q} > {log:q} 2>&1"
        )


# model.onnx, with large weights in model.onnx.data beside it.
use rule export_saved_model as export_onnx with:
    output:
        f"{frozen}/{{model}}/export_onnx.json",
    log:
        f"{of_model}/export_onnx.log",
    resources:
        mem_mb=run.mem_mb,
        runtime=run.runtime("export_onnx"),
    params:
        stage="export_onnx",
        settings=run.settings("export_onnx"),
        code=run.code("export_onnx"),
        attempt=run.attempt("export_onnx"),


# model.tflite.
use rule export_saved_model as export_tflite with:
    output:
        f"{frozen}/{{model}}/export_tflite.json",
    log:
        f"{of_model}/export_tflite.log",
    resources:
        mem_mb=run.mem_mb,
        runtime=run.runtime("export_tflite"),
    params:
        stage="export_tflite",
        settings=run.settings("export_tflite"),
        code=run.code("export_tflite"),
        attempt=run.attempt("export_tflite"),


# What the runtime of the format makes of the file, compared with what TensorFlow makes of the checkpoint.
rule judge_export:
    input:
        imported=f"{of_model}/import.json",
        provenance=f"{frozen}/{{model}}/provenance.json",
        verdict=f"{of_model}/verify.json",
        export=f"{frozen}/{{model}}/export_{{format}}.json",
    output:
        record=f"{of_model}/judged_{{format}}.json",
        table=f"{of_model}/export_{{format}}.csv",
    log:
        f"{of_model}/judge_{{format}}.log",
    wildcard_constraints:
        model=".+",
        format="saved_model|onnx|tflite",
    priority: run.priority
    group:
        group_of
    resources:
        mem_mb=run.mem_mb,
        runtime=run.runtime("judge_export"),
    params:
        settings=run.settings("judge_{format}"),
        code=run.code("judge_export"),
        attempt=run.attempt("judge_{format}"),
    shell:
        warm(
            "judge_export --format {wildcards.format} --model {wildcards.model:q} --attempt={params.attempt}"
            " --import-record {input.imported:q} --provenance {input.provenance:q} --verdict {input.verdict:q}"
            " --export {input.export:q} --settings {params.settings:q} {output.record:q} {output.table:q} > {log:q} 2>&1"
        )


# One row for each model and format; none where nothing is exported.
rule list_exports:
    input:
        run.for_exports(f"{frozen}/{{model}}/export_{{format}}.json", f"{of_model}/judged_{{format}}.json"),
    output:
        report(
            f"{reports}/exports.csv", caption="../captions/exports.rst", category="Tables", labels={"table": "exports"}
        ),
    log:
        f"{reports}/list_exports.log",
    localrule: True
    params:
        state=state,
        frozen=lambda wildcards: frozen,
        reports=lambda wildcards, output: os.path.dirname(output[0]),
        exports=run.exports,
        code=run.code("list_exports"),
    shell:
        plain(
            "list_exports --state {params.state} --frozen {params.frozen:q} --reports {params.reports:q} {output:q}"
            " > {log:q} 2>&1"
        )
