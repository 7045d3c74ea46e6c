export { createSqliteBackend } from "./create-backend.ts";
export { SqliteQueueBackend } from "./backend.ts";
export { Database } from "./database/database.ts";
export { SqliteError } from "./database/errors.ts";

export type { ClaimTerms, RunEnd, TurnAnswer } from "./backend/turn.ts";
export type { SqliteConnectionOptions } from "./backend-options.ts";
export type { Statement, StatementResult } from "./operations/statements.ts";
export type { JobFacts, Transaction, UserCall } from "./operations/user-function.ts";
