import { inspect } from "node:util";
import { SpanKind, SpanStatusCode, context, trace } from "@opentelemetry/api";
import type { Span } from "@opentelemetry/api";
import type { JobEvent, JobStart } from "@taskloom/queue";

/**
 * Records a span for each attempt of a job, linked to the span that submitted the job. Spans go through the
 * OpenTelemetry API to the tracer provider of the process (`node --import ./tracing.ts`); without a provider they are
 * dropped.
 */
export class JobSpans {
  readonly #spans = new Map<string, Span>();

  started({ id, name, queue, lane, attempt, waited }: JobStart): void {
    const submitter = trace.getSpanContext(context.active());
    const span = trace.getTracer("taskloom").startSpan(`${name} process`, {
      links: submitter === undefined ? [] : [{ context: submitter }],
      kind: SpanKind.CONSUMER,
      attributes: {
        "messaging.system": "taskloom",
        "messaging.operation.type": "process",
        "messaging.destination.name": queue,
        "messaging.message.id": id,
        "taskloom.task": name,
        "taskloom.lane": lane,
        "taskloom.attempt": attempt,
        "taskloom.waited_ms": waited,
      },
    });
    if (span.isRecording()) this.#spans.set(id, span);
  }

  ended({ id, state, error }: JobEvent): void {
    const span = this.#spans.get(id);
    if (span === undefined) return;
    this.#spans.delete(id);
    span.setAttribute("taskloom.state", state);
    if (error !== undefined) {
      span.recordException(error instanceof Error ? error : inspect(error));
      span.setStatus({ code: SpanStatusCode.ERROR });
    }
    span.end();
  }
}
