import type { FastifyInstance } from "fastify";
import { version } from "../../../version.ts";
import { accessOf } from "../access.ts";
import { aboutSchema } from "../answer-schemas.ts";
import { answers } from "../answers.ts";

/** The parts beside the page: a service has all that are installed, and a dashboard in another app has none. */
export interface About {
  /** The address of the engine, without its password. */
  readonly engine: string;
  /** Whether bull-board is at `board/`. */
  readonly hasBoard: boolean;
  /** Whether the metrics are at `metrics`, and the OpenAPI document at `openapi.json`. */
  readonly hasMetrics: boolean;
  /** Whether the engine has shards, which are at `shards`. */
  readonly hasShards: boolean;
}

/** Adds the route by which the page leaves out links that lead nowhere, and buttons that would be refused. */
export function addAbout(app: FastifyInstance, about: About): void {
  app.get(
    "/about",
    {
      schema: {
        summary: "The version, the engine, and the permission of the client: operate, or read.",
        tags: ["health"],
        response: answers({ 200: aboutSchema }),
      },
    },
    (request) => ({ version, access: accessOf(request), ...about }),
  );
}
