/**
 * A table of rules: the interface of the module. Bytes go in through one buffer, numbers come out.
 *   parse, commit, addRule, endIf …, finish, then find, captures, scanHeaders, scanLines
 */

import * as ast from "./ast";
import { Assert, Kind, Look } from "./ast";
import { results, scanHeaderBlock, scanLineBlock } from "../header-scan";
import { compileBacktrack, firstSet, isAnchored, programEnd, registerCount } from "./compile-backtrack";
import { clearFault, fault, Fault, faultCode, faultOffset } from "./fault";
import { addByte, beginText, endText } from "./gate";
import { areStrong, findTexts, isText, textByte, textLength, wholeText } from "./literals";
import { addChoice, newMachine, rootList } from "./machine";
import { findAt, looks, P, patterns, shared, startBlock, Way } from "./lookup";
import { giveBlock, overLimit, takeBlock, used } from "./memory";
import * as nfa from "./nfa";
import { Op } from "./nfa";
import { addNeeds } from "./needs";
import { Option, setInput } from "./parse-input";
import { groupCount, resetNames } from "./parse-names";
import { parsePcre } from "./parse-pcre";
import { parsePosix } from "./parse-posix";
import { addShared, isStart } from "./prefix";
import { setStateLimit } from "./state-room";
import { isWild, wildPart } from "./wild";

let inputAt: i32 = takeBlock(12);
let inputLog: i32 = 12;

/** A buffer of at least that many bytes, valid until the next call that asks for more. */
export function input(size: i32): i32 {
  if (size > 1 << inputLog) {
    giveBlock(inputAt, inputLog);
    while (1 << inputLog < size) inputLog++;
    inputAt = takeBlock(inputLog);
  }
  return inputAt;
}

/** Bytes that the states of automata may take together. */
export function limitStates(bytes: i32): void {
  setStateLimit(bytes);
}

export function memoryUsed(): i32 {
  return used();
}

let root: i32 = -1;
let rootOptions: i32 = 0;

/** Parses the pattern in the buffer. 0, or a fault code (its offset: parseOffset). */
export function parse(length: i32, options: i32): i32 {
  clearFault();
  ast.resetTree();
  resetNames();
  setInput(inputAt, length, options);
  rootOptions = options;
  root = options & Option.Posix ? parsePosix() : parsePcre();
  if (root < 0 && faultCode === 0) fault(Fault.Unsupported, 0);
  return faultCode;
}

export function parseOffset(): i32 {
  return faultOffset;
}

/** Groups of the pattern parsed last. */
export function parsedGroups(): i32 {
  return groupCount;
}

/** Takes the pattern parsed last into the table: its number, or minus a fault code. */
export function commit(): i32 {
  const number = patterns.length / P.Size;
  if (overLimit()) return -Fault.TooBig;
  const at = patterns.length;
  patterns.resize(at + P.Size, -1);
  const regular = nfa.isRegular(root);
  const anchored = (rootOptions & Option.Anchored) !== 0;
  patterns.set(at + P.Groups, groupCount);
  patterns.set(at + P.Options, rootOptions);
  patterns.set(at + P.Anchored, anchored || isAnchored(root) ? 1 : 0);
  const way = chooseWay(number, regular, anchored);
  patterns.set(at + P.Way, way);
  if (way >= Way.Machine) patterns.set(at + P.Needs, addNeeds(root));
  const captures = (rootOptions & Option.Captures) !== 0;
  const posix = (rootOptions & Option.Posix) !== 0;
  if (way === Way.Backtrack || (captures && !posix)) {
    const program = compileBacktrack(root, groupCount);
    if (program < 0) return dropped(at);
    patterns.set(at + P.Program, program);
    patterns.set(at + P.ProgramEnd, programEnd);
    patterns.set(at + P.Registers, registerCount);
    patterns.set(at + P.First, firstSet(root));
  }
  if (regular && captures) {
    patterns.set(at + P.Low, nfa.codeLength());
    patterns.set(at + P.Entry, nfa.compile(root, nfa.emit(Op.Match, 0, number), true, posix));
    patterns.set(at + P.High, nfa.codeLength());
  }
  return number;
}

/** Sees to how the pattern is found and what tries it, but for the backtracker's program. */
function chooseWay(number: i32, regular: bool, anchored: bool): Way {
  if (regular && !anchored && isText(root)) {
    wholeText(root);
    addTexts(number, 1);
    return Way.Text;
  }
  const atStart = anchored || isAnchored(root);
  const texts = findTexts(root, atStart);
  const wild = isWild(root);
  const match = nfa.emit(Op.Match, 0, number);
  const byTexts = texts > 0 && !atStart && (areStrong() || wild);
  let shares = false;
  if (byTexts) openGate(number, texts);
  else if (!wild) {
    shares = addShared(shared, root, anchored, match, 0);
    if (shares && regular) return Way.Shared;
  } else if (atStart) shares = addShared(shared, root, anchored, match, wildPart(root));
  if (shares) patterns.set(number * P.Size + P.Gated, 1);
  else if (!byTexts && texts > 0) openGate(number, texts);
  // Where machine 0 has looked at all of the pattern, a machine of its own would add nothing.
  if (shares && !wild) return Way.Backtrack;
  const before = nfa.codeLength();
  const own = nfa.emit(Op.Match, 0, number);
  const entry = regular ? nfa.compile(root, own, false, false) : nfa.compileWidened(root, own, own);
  if (entry < 0) {
    // Too many copies for an automaton; the backtracker counts.
    nfa.truncate(before);
    return Way.Backtrack;
  }
  const machine = newMachine();
  addChoice(rootList(machine, atStart), entry);
  patterns.set(number * P.Size + P.Machine, machine);
  if (regular) return Way.Machine;
  return addLooks(number) ? Way.Machine : Way.Backtrack;
}

/**
 * ^(?!x)y matches where ^y does and ^x does not: look-ahead right behind the start needs no backtracker, which is left
 * with the keys for which it holds. The pattern's own machine is that of ^y. True when all else is regular and the
 * start is that of the key; of lines it is only known that one of them may do.
 */
function addLooks(number: i32): bool {
  if (ast.kindOf(root) !== Kind.Cat || ast.kindOf(ast.a(root)) !== Kind.Assert) return false;
  const ofLine = ast.a(ast.a(root)) === Assert.LineStart;
  if (!ofLine && !isStart(ast.a(root))) return false;
  const first = ast.next(ast.a(root));
  let part = first;
  let count = 0;
  while (part !== 0 && ast.kindOf(part) === Kind.Look && ast.b(part) < Look.Behind && nfa.isRegular(ast.a(part))) {
    count++;
    part = ast.next(part);
  }
  if (count === 0) return false;
  let regular = true;
  for (; part !== 0; part = ast.next(part)) regular = regular && nfa.isRegular(part);
  const before = looks.length;
  looks.push(count);
  looks.push(ofLine ? 1 : 0);
  part = first;
  for (let index = 0; index < count; index++) {
    const entry = nfa.compile(ast.a(part), nfa.emit(Op.Match, 0, number), false, false);
    if (entry < 0) {
      looks.length = before;
      return false;
    }
    const machine = newMachine();
    addChoice(rootList(machine, true), entry);
    looks.push(machine);
    looks.push(ast.b(part) === Look.Ahead ? 1 : 0);
    part = ast.next(part);
  }
  patterns.set(number * P.Size + P.Looks, before);
  return regular && !ofLine;
}

function addTexts(number: i32, count: i32): void {
  for (let index = 0; index < count; index++) {
    beginText();
    for (let at = 0; at < textLength(index); at++) addByte(textByte(index, at));
    endText(number);
  }
}

/** Lets the pattern be tried only for keys that hold one of its texts. */
function openGate(number: i32, texts: i32): void {
  addTexts(number, texts);
  patterns.set(number * P.Size + P.Gated, 1);
}

function dropped(at: i32): i32 {
  patterns.length = at;
  return -Fault.Unsupported;
}


/** The first rule that takes effect for the key in the buffer, or -1. */
export function find(length: i32): i32 {
  startBlock();
  return findAt(inputAt, length);
}

/** Headers of the block in the buffer that match: their number; see resultsAt. */
export function scanHeaders(length: i32): i32 {
  return scanHeaderBlock(inputAt, length);
}

export function scanLines(length: i32, limit: i32): i32 {
  return scanLineBlock(inputAt, length, limit);
}

/** Offset, length and rule of each match of the last scan. */
export function resultsAt(): i32 {
  return results.at;
}

export { addRule, captures, endIf, finish, limitCount, limitOutcome, limitRule } from "./lookup";
