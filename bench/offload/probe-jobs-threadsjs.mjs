// The same jobs for threads.js, in which a thread exposes its functions.
import { expose } from "threads/worker";
import run from "./probe-jobs.mjs";

expose({ run });
