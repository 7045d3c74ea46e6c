/** The schema in which BullMQ's PostgreSQL backend keeps its tables. */
export const SCHEMA = "bullmq";
