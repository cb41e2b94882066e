(* A counterexample, evaluated: integers over a power of two, which grows from
   layer to layer, so that nothing is rounded. *)
Require Import ZArith Reals List Lia Lra Bool.
From Ax Require Network Certified.
Import ListNotations.
Local Open Scope Z_scope.

Notation word := PrimInt63.int.

Fixpoint dotZ (ws v : list Z) : Z :=
  match ws, v with
  | w :: ws', a :: v' => w * a + dotZ ws' v'
  | _, _ => 0
  end.

Section Eval.
Variable s : Z.
Hypothesis s0 : 0 <= s.

(* v at scale t, the outputs at scale t + s. *)
Definition affineZ (t : Z) (l : Network.layer) (v : list Z) : list Z :=
  map (fun n => dotZ (map (Certified.dec s) (snd n)) v +
                Certified.dec s (fst n) * 2 ^ t) l.

Fixpoint networkZ (t : Z) (ls : list Network.layer) (v : list Z) : Z * list Z :=
  match ls with
  | [] => (t, v)
  | [l] => (t + s, affineZ t l v)
  | l :: ls' => networkZ (t + s) ls' (map (Z.max 0) (affineZ t l v))
  end.

(* v are the numbers x at scale t. *)
Definition scaled (t : Z) (x : list R) (v : list Z) : Prop :=
  Forall2 (fun a m => (a * IZR (2 ^ t))%R = IZR m) x v.

Lemma power t : 0 <= t -> (0 < IZR (2 ^ t))%R.
Proof. intros. apply IZR_lt. apply Z.pow_pos_nonneg; lia. Qed.

Lemma dot_at t ws x v : forallb (Certified.good s) ws = true -> scaled t x v ->
  (Network.dot ws x * IZR (2 ^ s) * IZR (2 ^ t) =
   IZR (dotZ (map (Certified.dec s) ws) v))%R.
Proof.
  intros G F. revert ws G. induction F as [|a m x v E F IH]; intros [|w ws] G;
    simpl in *; try ring.
  apply andb_true_iff in G as [A B].
  rewrite plus_IZR, mult_IZR, <- (IH ws B), <- E,
    <- (Certified.dec_ok s w s0 A). ring.
Qed.

Lemma affine_at t l x v : 0 <= t ->
  forallb (Certified.goodn s) l = true -> scaled t x v ->
  scaled (t + s) (Network.affine l x) (affineZ t l v).
Proof.
  intros T G F. unfold Network.affine, affineZ, scaled.
  induction l as [|n l IH]; simpl; [constructor|]. simpl in G.
  apply andb_true_iff in G as [A B]. constructor; auto.
  apply andb_true_iff in A as [A1 A2].
  rewrite plus_IZR, <- (dot_at t _ x v A2 F), mult_IZR,
    <- (Certified.dec_ok s _ s0 A1), Z.pow_add_r, mult_IZR by lia. ring.
Qed.

Lemma relu_at t x v : 0 <= t -> scaled t x v ->
  scaled t (map Network.relu x) (map (Z.max 0) v).
Proof.
  intros T F. induction F as [|a m x v E F IH]; simpl; constructor; auto.
  assert (P := power t T). unfold Network.relu.
  destruct (Z.le_gt_cases 0 m) as [H|H].
  - rewrite Z.max_r by lia. rewrite <- E. f_equal. apply Rmax_right.
    apply IZR_le in H. rewrite <- E in H.
    apply Rmult_le_reg_r with (IZR (2 ^ t)); lra.
  - rewrite Z.max_l by lia. apply IZR_lt in H. rewrite <- E in H.
    rewrite Rmax_left; [simpl; ring|].
    apply Rmult_le_reg_r with (IZR (2 ^ t)); lra.
Qed.

Lemma network_at ls : forall t x v, 0 <= t ->
  forallb (forallb (Certified.goodn s)) ls = true -> scaled t x v ->
  let (u, w) := networkZ t ls v in
  0 <= u /\ scaled u (Network.network ls x) w.
Proof.
  induction ls as [|l ls IH]; intros t x v T G F; [simpl; auto|].
  simpl in G. apply andb_true_iff in G as [A B].
  assert (H := affine_at t l x v T A F).
  destruct ls as [|k ls]; [simpl; split; [lia|exact H]|].
  change (networkZ t (l :: k :: ls) v) with
    (networkZ (t + s) (k :: ls) (map (Z.max 0) (affineZ t l v))).
  change (Network.network (l :: k :: ls) x) with
    (Network.network (k :: ls) (map Network.relu (Network.affine l x))).
  apply IH; auto; [lia|]. apply relu_at; auto; lia.
Qed.
End Eval.

(* ---- The box and the comparisons ---- *)
Fixpoint insideb (s : Z) (b : Network.box) (v : list Z) : bool :=
  match b, v with
  | [], [] => true
  | (l, u) :: b', m :: v' =>
      (l * 2 ^ s <=? m * 2 ^ 64) && (m * 2 ^ 64 <=? u * 2 ^ s) &&
      insideb s b' v'
  | _, _ => false
  end.

Lemma inside_ok s b : 0 <= s -> forall x v, scaled s x v ->
  insideb s b v = true -> Network.in_box b x.
Proof.
  intros S. assert (P := power s S).
  induction b as [|[l u] b IH]; intros x v F H; destruct F as [|a m x v E F];
    try discriminate H; [constructor|]. cbn [insideb] in H.
  repeat rewrite andb_true_iff in H. destruct H as [[L U] H].
  constructor; [|eapply IH; eauto]. cbn [fst snd].
  apply Z.leb_le, IZR_le in L. apply Z.leb_le, IZR_le in U.
  repeat rewrite mult_IZR in L. repeat rewrite mult_IZR in U.
  rewrite <- E in L. rewrite <- E in U.
  replace (IZR (2 ^ 64)) with (2 ^ 64)%R in * by (rewrite pow_IZR; reflexivity).
  assert (Q : (0 < 2 ^ 64)%R) by (apply pow_lt; lra).
  set (q := (2 ^ 64)%R) in *. clearbody q.
  assert (D : forall z, (IZR z / q * q = IZR z)%R) by (intros; field; lra).
  split; apply Rmult_le_reg_r with q; auto; rewrite D;
    apply Rmult_le_reg_r with (IZR (2 ^ s)); lra.
Qed.

Definition trueb (t : Z) (v : list Z) (c : Network.comparison) : bool :=
  let '((cs, (m, k)), strict) := c in
  let a := dotZ cs v * 10 ^ k in
  let b := m * 2 ^ t in
  if strict then a <? b else a <=? b.

Lemma sum_at t c : forall y v, scaled t y v ->
  (Network.sum c y * IZR (2 ^ t) = IZR (dotZ c v))%R.
Proof.
  induction c as [|a c IH]; intros y v F; destruct F; simpl; try ring.
  rewrite plus_IZR, mult_IZR, <- (IH _ _ F), <- H. ring.
Qed.

Lemma true_ok t y v c : 0 <= t -> 0 <= snd (snd (fst c)) -> scaled t y v ->
  trueb t v c = true -> Network.comparison_true y c.
Proof.
  intros T K F. assert (P := power t T).
  destruct c as [[cs [m k]] strict]. unfold trueb, Network.comparison_true,
    Network.value. simpl in *.
  assert (E := sum_at t cs y v F).
  assert (Q : (0 < IZR (10 ^ k))%R) by (apply IZR_lt, Z.pow_pos_nonneg; lia).
  set (q := IZR (10 ^ k)) in *.
  assert (I : (IZR m / q * q = IZR m)%R) by (field; lra).
  destruct strict; intros H.
  - apply Z.ltb_lt, IZR_lt in H. repeat rewrite mult_IZR in H.
    fold q in H. rewrite <- E in H.
    apply Rmult_lt_reg_r with q; auto. rewrite I.
    apply Rmult_lt_reg_r with (IZR (2 ^ t)); lra.
  - apply Z.leb_le, IZR_le in H. repeat rewrite mult_IZR in H.
    fold q in H. rewrite <- E in H.
    apply Rmult_le_reg_r with q; auto. rewrite I.
    apply Rmult_le_reg_r with (IZR (2 ^ t)); lra.
Qed.

(* ---- The whole ---- *)
Definition fitb (outs : nat) (c : Network.comparison) : bool :=
  Nat.eqb (length (fst (fst c))) outs && (0 <=? snd (snd (fst c))).

Definition violates (s : Z) (net : list Network.layer) (b : Network.box)
  (cs : list Network.comparison) (input : list word) (ins outs : nat) : bool :=
  (0 <=? s) && forallb (forallb (Certified.goodn s)) net &&
  forallb (Certified.good s) input && Certified.shapedb ins net &&
  Nat.eqb (length (last net [])) outs && Nat.eqb (length b) ins &&
  forallb (fitb outs) cs &&
  let v := map (Certified.dec s) input in
  insideb s b v &&
  let (t, y) := networkZ s s net v in forallb (trueb t y) cs.

Lemma input_at s input : 0 <= s -> forallb (Certified.good s) input = true ->
  scaled s (map Network.weight input) (map (Certified.dec s) input).
Proof.
  intros S. induction input as [|w input IH]; simpl; intros H; constructor.
  - apply andb_true_iff in H as [H _]. apply Certified.dec_ok; auto.
  - apply andb_true_iff in H as [_ H]. apply IH. exact H.
Qed.

Theorem witnessed s net b cs input ins outs :
  violates s net b cs input ins outs = true ->
  Network.sizes_fit net b cs ins outs /\
  exists x, Network.violation net b cs x.
Proof.
  unfold violates. intros H. repeat rewrite andb_true_iff in H.
  destruct H as [[[[[[[S G] I] Sh] L] B] C] [W V]]. apply Z.leb_le in S.
  assert (F := input_at s input S I).
  assert (N := network_at s S net s _ _ S G F).
  destruct (networkZ s s net _) as [t y]. destruct N as [T Y].
  rewrite forallb_forall in C.
  assert (R : forall c, In c cs -> length (fst (fst c)) = outs /\
                                   0 <= snd (snd (fst c))).
  { intros c J. specialize (C c J). unfold fitb in C.
    apply andb_true_iff in C as [C D]. split;
      [apply Nat.eqb_eq|apply Z.leb_le]; auto. }
  split.
  - repeat split; [apply Certified.shapedb_ok; auto| | |];
      try (apply Nat.eqb_eq; auto; fail).
    apply Forall_forall. auto.
  - exists (map Network.weight input). split.
    + exact (inside_ok s b S _ _ F W).
    + rewrite forallb_forall in V. apply Forall_forall. intros c J.
      destruct (R c J) as [_ K].
      exact (true_ok t _ _ c T K Y (V c J)).
Qed.
