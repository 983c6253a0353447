/**
 * The stages of a transaction, and Postfix's words for "lost connection with H while …".
 */

export type Stage = "probe" | "xforward" | "mail" | "rcpt" | "data" | "body" | "dot" | "rset" | "over";

export const DOING: Readonly<Record<Stage, string>> = {
  probe: "sending RSET probe",
  xforward: "sending XFORWARD name/address",
  mail: "sending MAIL FROM",
  rcpt: "sending RCPT TO",
  data: "sending DATA command",
  body: "sending message body",
  dot: "sending end of data -- message may be sent more than once",
  rset: "sending final RSET",
  over: "sending QUIT",
};
