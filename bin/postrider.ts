#!/usr/bin/env node
import { currentRuntime } from "../runtimes/select.ts";
import { main } from "../src/main.ts";

const runtime = await currentRuntime();
runtime.processes!.setExitCode(await main(runtime));
