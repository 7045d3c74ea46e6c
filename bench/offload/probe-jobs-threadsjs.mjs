// The same jobs as threads.js has them: a thread exposes its functions.
import { expose } from "threads/worker";
import run from "./probe-jobs.mjs";

expose({ run });
