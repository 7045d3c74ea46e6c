import workerpool from "workerpool";

workerpool.worker({ same: (value) => value });
