import { inspect } from "node:util";
import type { Link, Span } from "@opentelemetry/api";
import type { JobEvent, JobStart, StepEvent } from "@taskloom/queue";
import { tracing } from "./tracing.ts";
import type { TracingApi } from "./tracing.ts";

/**
 * Records a span for each attempt of a job or step, linked to the span that submitted the job or run. The steps of a run
 * therefore share a link, however often the run was parked and whichever workers had it. Spans go through the
 * OpenTelemetry API to the tracer provider of the process (`node --import ./tracing.ts`); without a provider they are
 * dropped.
 */
export class JobSpans {
  readonly #spans = new Map<string, Span>();

  started({ id, name, queue, lane, attempt, waited }: JobStart): void {
    this.left(id);
    const api = tracing();
    if (api === undefined) return;
    const span = api.trace.getTracer("taskloom").startSpan(`${name} process`, {
      links: linksOfSubmitter(api),
      kind: api.SpanKind.CONSUMER,
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
    if (error !== undefined) recordError(span, error, tracing());
    span.end();
  }

  /** Ends the span of a job that is here no more and has not ended: a durable run was parked, or its lock was lost. */
  left(id: string): void {
    const span = this.#spans.get(id);
    if (span === undefined) return;
    this.#spans.delete(id);
    span.setAttribute("taskloom.state", "left");
    span.end();
  }

  /** Records the span of a step that has ended. */
  step({ run, key, name, queue, lane, state, attempt, startedAt, duration, error }: StepEvent): void {
    const api = tracing();
    if (api === undefined) return;
    const span = api.trace.getTracer("taskloom").startSpan(`${name} step`, {
      links: linksOfSubmitter(api),
      kind: api.SpanKind.INTERNAL,
      startTime: startedAt,
      attributes: {
        "messaging.system": "taskloom",
        "messaging.destination.name": queue,
        "taskloom.run": run,
        "taskloom.step": key,
        "taskloom.task": name,
        "taskloom.lane": lane,
        "taskloom.attempt": attempt,
        "taskloom.state": state,
      },
    });
    if (error !== undefined) recordError(span, error, api);
    span.end(startedAt + duration);
  }
}

function linksOfSubmitter({ trace, context }: TracingApi): Link[] {
  const submitter = trace.getSpanContext(context.active());
  return submitter === undefined ? [] : [{ context: submitter }];
}

function recordError(span: Span, error: unknown, api: TracingApi | undefined): void {
  span.recordException(error instanceof Error ? error : inspect(error));
  if (api !== undefined) span.setStatus({ code: api.SpanStatusCode.ERROR });
}
